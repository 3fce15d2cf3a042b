"""``python -m user_service``."""

from common.server import serve
from common.settings import load_settings
from user_service.settings import Settings

if __name__ == "__main__":
    serve("user_service.main:create_app", load_settings(Settings))
