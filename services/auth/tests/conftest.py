"""The auth service on a real database, with cheap passwords and a clock that tests can turn."""

from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta

import httpx
import pytest
import pytest_asyncio

from auth_service.limits import Limiter
from auth_service.main import create_app
from auth_service.passwords import PasswordHasher
from auth_service.service import AccountService, AuthService, Limits
from auth_service.sessions import SessionService
from auth_service.settings import Settings
from auth_service.store import AccountStore, SessionStore, TallyStore
from common.auth import TokenIssuer
from common.clock import utc_now
from common.mongo import Database
from common.testing import TEST_SECRETS, app_client, service_settings


class Clock:
    """Stands still until told."""

    def __init__(self) -> None:
        self.now = utc_now()

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings(mongo_uri: str, database_name: str) -> Settings:
    return service_settings(
        Settings,
        mongo_uri,
        database_name,
        bcrypt_rounds=4,
        login_failures_per_account=3,
        login_failures_per_address=6,
        registrations_per_address=50,
    )


@pytest_asyncio.fixture
async def client(settings: Settings, database: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with app_client(create_app(settings)) as opened:
        yield opened


@pytest_asyncio.fixture
async def accounts(database: Database) -> AccountStore:
    store = AccountStore(database)
    await store.ensure_indexes()
    return store


@pytest_asyncio.fixture
async def tallies(database: Database) -> TallyStore:
    store = TallyStore(database)
    await store.ensure_indexes()
    return store


@pytest.fixture
def passwords() -> Iterator[PasswordHasher]:
    hasher = PasswordHasher(rounds=4)
    yield hasher
    hasher.close()


@pytest.fixture
def sessions(database: Database, accounts: AccountStore, clock: Clock) -> SessionService:
    issuer = TokenIssuer(TEST_SECRETS["jwt_secret"], ttl_seconds=900)
    return SessionService(SessionStore(database), accounts, issuer, ttl=timedelta(days=90), now=clock)


@pytest.fixture
def auth(
    accounts: AccountStore,
    sessions: SessionService,
    passwords: PasswordHasher,
    tallies: TallyStore,
    settings: Settings,
    clock: Clock,
) -> AuthService:
    return AuthService(accounts, sessions, passwords, Limiter(tallies, now=clock), Limits.of(settings))


@pytest.fixture
def account_service(accounts: AccountStore) -> AccountService:
    return AccountService(accounts)
