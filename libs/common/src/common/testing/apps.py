"""Talk to an application without a server, as a user or as another service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx
from fastapi import FastAPI
from pydantic import SecretStr

from common.auth import TokenIssuer
from common.service_auth import ServiceTokenSigner
from common.settings import ServiceSettings

TEST_SECRETS = {
    "jwt_secret": SecretStr("test-only-jwt-key-of-more-than-32-bytes"),
    "service_secret": SecretStr("test-only-service-key-of-more-than-32-bytes"),
}
"""Pass these to a service's settings; the tokens below are signed with them."""


SettingsT = TypeVar("SettingsT", bound=ServiceSettings)


def service_settings(
    settings_class: type[SettingsT], mongo_uri: str, database_name: str, **overrides: Any
) -> SettingsT:
    """Build a service's settings for a test: its database, the test secrets, and what the test says."""
    values = {"port": 0, "mongo_uri": mongo_uri, "mongo_database": database_name, **TEST_SECRETS, **overrides}
    return settings_class(**values)


def user_token(user_id: str, *, email: str = "ada@example.com", session_id: str = "0" * 24, ttl: int = 600) -> str:
    """Return an access token as auth signs it."""
    return TokenIssuer(TEST_SECRETS["jwt_secret"], ttl_seconds=ttl).issue(user_id, email, session_id)


def user_headers(user_id: str) -> dict[str, str]:
    """Return the header with which a user calls."""
    return {"Authorization": f"Bearer {user_token(user_id)}"}


def service_token(*, audience: str, scope: str, caller: str = "test") -> dict[str, str]:
    """Return the header with which another service calls ``audience`` for ``scope``."""
    signer = ServiceTokenSigner(TEST_SECRETS["service_secret"], caller=caller)
    return {"Authorization": f"Bearer {signer.sign(audience=audience, scope=scope)}"}


@asynccontextmanager
async def app_client(app: FastAPI, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    """Run an application's lifespan and yield a client of it; a crash in a route is a 500, as it is in production."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://service.test", headers=headers) as client,
    ):
        yield client
