"""Start by ``python -m subscription_service``."""

from common.server import serve
from common.settings import load_settings
from subscription_service.settings import Settings

if __name__ == "__main__":
    serve("subscription_service.main:create_app", load_settings(Settings))
