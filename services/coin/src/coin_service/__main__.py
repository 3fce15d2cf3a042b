"""``python -m coin_service``."""

from coin_service.settings import Settings
from common.server import serve
from common.settings import load_settings

if __name__ == "__main__":
    serve("coin_service.main:create_app", load_settings(Settings))
