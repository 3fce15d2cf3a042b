"""Stripe, Google Play, AdMob and auth on the wire, and the service between them."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from coin_service.checkouts import CheckoutStore
from coin_service.holds import HoldService
from coin_service.ledger import Ledger
from coin_service.main import create_app
from coin_service.providers.http import open_vendor_client
from coin_service.service import CoinService
from coin_service.settings import Settings
from coin_service.store import LedgerStore
from coin_service.sweeper import StripeSweeper
from coin_service.testing.admob import FakeAdMob
from coin_service.testing.client import OpenClient
from coin_service.testing.google_play import PACKAGE, FakePlay, write_key_file
from coin_service.testing.google_push import FakeCertificates
from coin_service.testing.stripe import STRIPE_KEY, FakeStripe
from coin_service.testing.sweeping import sweeper_of
from coin_service.testing.webhooks import SECRET
from coin_service.vendors import Roads
from common.mongo import Database
from common.testing import app_client, service_settings
from common.testing.auth import FakeAuth


@pytest.fixture
def auth() -> FakeAuth:
    return FakeAuth()


@pytest.fixture
def ada(auth: FakeAuth) -> str:
    """The id of a user."""
    return auth.add_account("ada@example.com").id


@pytest.fixture
def bob(auth: FakeAuth) -> str:
    return auth.add_account("bob@example.com").id


@pytest.fixture
def stripe() -> FakeStripe:
    return FakeStripe()


@pytest.fixture
def play() -> FakePlay:
    return FakePlay()


@pytest.fixture
def admob() -> FakeAdMob:
    return FakeAdMob()


@pytest.fixture
def certificates() -> FakeCertificates:
    return FakeCertificates()


@pytest_asyncio.fixture
async def store(database: Database) -> LedgerStore:
    store = LedgerStore(database)
    await store.ensure_schema()
    return store


@pytest.fixture
def ledger(store: LedgerStore, auth: FakeAuth) -> Ledger:
    return Ledger(store, auth.client(), signup_bonus_coins=100)


@pytest.fixture
def coins(ledger: Ledger) -> CoinService:
    return CoinService(ledger)


@pytest.fixture
def holds(ledger: Ledger) -> HoldService:
    return HoldService(ledger)


@pytest.fixture(scope="session")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A service account's key."""
    path = tmp_path_factory.mktemp("google") / "play.json"
    write_key_file(path)
    yield path
    path.unlink()


@pytest.fixture
def open_client(
    mongo_uri: str,
    database: Database,
    database_name: str,
    auth: FakeAuth,
    stripe: FakeStripe,
    play: FakePlay,
    admob: FakeAdMob,
    certificates: FakeCertificates,
    key_file: Path,
) -> OpenClient:
    """Start the application on the test's database and talk to it."""

    @asynccontextmanager
    async def client(**settings: Any) -> AsyncIterator[httpx.AsyncClient]:
        values: dict[str, Any] = {
            "stripe_secret_key": STRIPE_KEY,
            "google_application_credentials": key_file,
            "google_play_packages": f"{PACKAGE},com.example.other",
            **settings,
        }
        app = create_app(
            service_settings(Settings, mongo_uri, database_name, **values),
            roads=Roads(
                auth.transport(),
                stripe.transport,
                play.transport,
                play.token_transport,
                admob.transport,
                certificates.transport,
            ),
        )
        async with app_client(app) as opened:
            yield opened

    return client


@pytest_asyncio.fixture
async def sweepers(
    store: LedgerStore, database: Database, auth: FakeAuth, stripe: FakeStripe
) -> AsyncIterator[list[StripeSweeper]]:
    """Three processes: nothing but the database between them."""
    await CheckoutStore(database).ensure_schema()
    headers = {"Authorization": f"Bearer {STRIPE_KEY}", "Stripe-Version": "x"}
    async with open_vendor_client(
        "https://stripe.test", timeout_seconds=5, headers=headers, transport=stripe.transport
    ) as client:
        yield [sweeper_of(database, auth, client) for _ in range(3)]


@pytest_asyncio.fixture
async def client(open_client: OpenClient) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client() as opened:
        yield opened


@pytest_asyncio.fixture
async def webhooks(open_client: OpenClient) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(stripe_webhook_secret=SECRET) as opened:
        yield opened
