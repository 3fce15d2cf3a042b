"""For tests of the members: a real database, applications without a server, and stand-ins for coin and auth."""

from common.testing.apps import TEST_SECRETS, app_client, service_settings, service_token, user_headers, user_token
from common.testing.auth import FakeAuth, Fault
from common.testing.coin import FakeCoin

__all__ = [
    "TEST_SECRETS",
    "FakeAuth",
    "FakeCoin",
    "Fault",
    "app_client",
    "service_settings",
    "service_token",
    "user_headers",
    "user_token",
]
