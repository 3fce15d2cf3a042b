"""For tests of the members: a real database, applications without a server, and stand-ins for coin and auth."""

from common.testing.apps import TEST_SECRETS, app_client, service_settings, service_token, user_headers, user_token
from common.testing.auth import FakeAuth, Fault
from common.testing.coin import FakeCoin
from common.testing.image import FakeImage
from common.testing.polling import until

__all__ = [
    "TEST_SECRETS",
    "FakeAuth",
    "FakeCoin",
    "FakeImage",
    "Fault",
    "app_client",
    "service_settings",
    "service_token",
    "until",
    "user_headers",
    "user_token",
]
