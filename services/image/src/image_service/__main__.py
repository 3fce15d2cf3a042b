"""Start by ``python -m image_service``."""

from common.server import serve
from common.settings import load_settings
from image_service.settings import Settings

if __name__ == "__main__":
    serve("image_service.main:create_app", load_settings(Settings))
