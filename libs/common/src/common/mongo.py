"""The only module that imports motor: open a service's own database, and the driver's errors by our names."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeAlias

from bson import Int64, ObjectId
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection, AsyncIOMotorDatabase
from pydantic import SecretStr
from pymongo import ASCENDING, DESCENDING, IndexModel, ReturnDocument
from pymongo.errors import (
    ConnectionFailure,
    DuplicateKeyError,
    ExecutionTimeout,
    NetworkTimeout,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WriteConcernError,
)

__all__ = [
    "ASCENDING",
    "DATABASE_UNAVAILABLE",
    "DESCENDING",
    "Collection",
    "Database",
    "DatabaseSettings",
    "Document",
    "DuplicateKeyError",
    "IndexModel",
    "Int64",
    "ObjectId",
    "ReturnDocument",
    "database_name",
    "new_id",
    "open_database",
]

Document: TypeAlias = dict[str, Any]
Database: TypeAlias = AsyncIOMotorDatabase[Document]
Collection: TypeAlias = AsyncIOMotorCollection[Document]

DATABASE_UNAVAILABLE: tuple[type[Exception], ...] = (
    ConnectionFailure,
    ServerSelectionTimeoutError,
    NetworkTimeout,
    ExecutionTimeout,
    WriteConcernError,
    WaitQueueTimeoutError,
)
"""The database is away or too slow. After a write this means *unknown*: read again, or repeat under the same key."""


class DatabaseSettings(Protocol):
    """What opening a database takes: a service's settings, or a command's."""

    @property
    def service_name(self) -> str: ...
    @property
    def mongo_uri(self) -> SecretStr: ...
    @property
    def mongo_database(self) -> str | None: ...


def new_id() -> str:
    """Return a fresh 24-hex ObjectId string; ids sort by the second they were made in."""
    return str(ObjectId())


def database_name(settings: DatabaseSettings) -> str:
    """Every service has a database of its own, whatever server it shares."""
    return settings.mongo_database or f"pixelmint_{settings.service_name}"


@asynccontextmanager
async def open_database(settings: DatabaseSettings) -> AsyncIterator[Database]:
    """Open the service's database.

    Writes are acknowledged by the majority's journals and reads see only what a majority has: an entry computed from
    one that a failover rolls back would break the ledger's chain. Every wait is bounded: 4 s for a server, 2 s for a
    connection, 5 s for the majority, 8 s for an answer.
    """
    client: AsyncIOMotorClient[Document] = AsyncIOMotorClient(
        settings.mongo_uri.get_secret_value(),
        appname=settings.service_name,
        tz_aware=True,
        serverSelectionTimeoutMS=4000,
        connectTimeoutMS=2000,
        socketTimeoutMS=8000,
        waitQueueTimeoutMS=4000,
        maxPoolSize=50,
        w="majority",
        journal=True,
        wTimeoutMS=5000,
        readConcernLevel="majority",
        retryWrites=True,
        retryReads=True,
    )
    try:
        yield client[database_name(settings)]
    finally:
        client.close()
