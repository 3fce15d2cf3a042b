"""For tests of the members: a real database, applications without a server, and the coin service's stand-in."""

from common.testing.apps import TEST_SECRETS, app_client, service_settings, service_token, user_headers, user_token
from common.testing.coin import FakeCoin

__all__ = ["TEST_SECRETS", "FakeCoin", "app_client", "service_settings", "service_token", "user_headers", "user_token"]
