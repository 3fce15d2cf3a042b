"""The user service on a real database, with an auth whose answers can go wrong."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import httpx
import pytest
import pytest_asyncio

from common.clients.auth import AccountRead
from common.clock import utc_now
from common.mongo import Database
from common.testing import FakeAuth, app_client, service_settings
from user_service.main import create_app
from user_service.service import ProfileService
from user_service.settings import Settings
from user_service.store import ProfileStore


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


@pytest_asyncio.fixture
async def auth() -> FakeAuth:
    return FakeAuth()


@pytest_asyncio.fixture
async def ada(auth: FakeAuth) -> AccountRead:
    return auth.add_account("ada@example.com", name="Ada")


@pytest_asyncio.fixture
async def store(database: Database) -> ProfileStore:
    profiles = ProfileStore(database)
    await profiles.ensure_indexes()
    return profiles


@pytest.fixture
def profiles(store: ProfileStore, auth: FakeAuth, clock: Clock) -> ProfileService:
    return ProfileService(store, auth.client(), now=clock)


@pytest_asyncio.fixture
async def client(
    auth: FakeAuth, mongo_uri: str, database_name: str, database: Database
) -> AsyncIterator[httpx.AsyncClient]:
    # Long enough that the healer takes up no change whose request is still at its three tries.
    settings = service_settings(Settings, mongo_uri, database_name, heal_interval_seconds=0.05, heal_after_seconds=2)
    async with app_client(create_app(settings, auth_transport=auth.transport())) as opened:
        yield opened
