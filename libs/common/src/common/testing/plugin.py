"""pytest fixtures of every member; loaded by the root ``pyproject.toml``."""

from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest
import pytest_asyncio

from common.mongo import Database, open_database
from common.settings import ServiceSettings
from common.testing.apps import service_settings
from common.testing.mongod import running_mongod


@pytest.fixture(scope="session")
def mongo_uri() -> Iterator[str]:
    """The address of a real MongoDB, a one-node replica set, for the whole run."""
    with running_mongod() as uri:
        yield uri


@pytest.fixture
def database_name() -> str:
    """A name no other test has."""
    return f"test_{uuid4().hex}"


@pytest_asyncio.fixture
async def database(mongo_uri: str, database_name: str) -> AsyncIterator[Database]:
    """A fresh, empty database, dropped afterwards; an application given ``database_name`` shares it."""
    settings = service_settings(ServiceSettings, mongo_uri, database_name, service_name="test")
    async with open_database(settings) as opened:
        yield opened
        await opened.client.drop_database(database_name)
