"""Google Play on the wire, a clock to turn, and the service between the two."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from common.mongo import Database
from common.testing import app_client, service_settings, user_headers
from subscription_service.main import create_app
from subscription_service.providers.google_play import GooglePlay
from subscription_service.service import SubscriptionService
from subscription_service.settings import Settings
from subscription_service.store import SubscriptionStore
from subscription_service.testing.callers import MakeService, OpenClient
from subscription_service.testing.clock import Clock
from subscription_service.testing.google_play import PACKAGE, FakePlay
from subscription_service.testing.google_tokens import TokenServer


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def play(clock: Clock) -> FakePlay:
    return FakePlay(clock)


@pytest.fixture
def token_server() -> Iterator[TokenServer]:
    server = TokenServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@pytest.fixture
def key_file(tmp_path: Path, token_server: TokenServer, private_key: str) -> Path:
    """A service account's key whose tokens come from ``token_server``."""
    content = {
        "type": "service_account",
        "client_email": "play@pixelmint.example",
        "private_key_id": "k1",
        "private_key": private_key,
        "token_uri": token_server.address,
    }
    path = tmp_path / "key.json"
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def production_key_file(key_file: Path, tmp_path: Path) -> Path:
    """The same key with Google's own token address."""
    content = json.loads(key_file.read_text()) | {"token_uri": "https://oauth2.googleapis.com/token"}
    path = tmp_path / "production.json"
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def settings_with(mongo_uri: str, database_name: str, key_file: Path) -> Any:
    def make(**overrides: Any) -> Settings:
        values = {
            "google_application_credentials": key_file,
            "google_play_packages": (PACKAGE,),
            "recheck_interval_seconds": 3600,
        }
        return service_settings(Settings, mongo_uri, database_name, **(values | overrides))

    return make


@pytest_asyncio.fixture
async def make_service(
    database: Database, play: FakePlay, clock: Clock, settings_with: Any, key_file: Path
) -> AsyncIterator[MakeService]:
    """Make as many services on the one database as there are replicas wanted."""
    made: list[tuple[SubscriptionService, GooglePlay]] = []
    store = SubscriptionStore(database)
    await store.ensure_indexes()
    async with httpx.AsyncClient(transport=httpx.MockTransport(play.answer), base_url="https://play.test") as http:

        def make(**overrides: Any) -> SubscriptionService:
            settings = settings_with(**overrides)
            # Not the settings' own: production takes no key whose tokens come from this machine.
            google = GooglePlay(http, key_file, timeout_seconds=settings.google_play_timeout_seconds)
            service = SubscriptionService(store, google, settings, now=clock)
            made.append((service, google))
            return service

        yield make
        for service, google in made:
            await service.close()
            google.close()


@pytest.fixture
def service(make_service: MakeService) -> SubscriptionService:
    return make_service()


@pytest.fixture
def open_client(play: FakePlay, clock: Clock, settings_with: Any) -> OpenClient:
    """Open a client of the whole application, with these settings."""

    def make(**overrides: Any) -> AbstractAsyncContextManager[httpx.AsyncClient]:
        app = create_app(settings_with(**overrides), now=clock, google_transport=httpx.MockTransport(play.answer))
        return app_client(app)

    return make


@pytest_asyncio.fixture
async def client(open_client: OpenClient) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client() as opened:
        yield opened


@pytest.fixture
def ada() -> dict[str, str]:
    return user_headers("a" * 24)


@pytest.fixture
def bob() -> dict[str, str]:
    return user_headers("b" * 24)
