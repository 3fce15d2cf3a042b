"""What commands work with, opened from the environment of the service."""

import asyncio
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, TypeVar

import httpx
import typer
from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from coin_service.ledger import Ledger
from coin_service.settings import Settings
from coin_service.store import LedgerStore
from common.clients.auth import AuthClient
from common.clients.image import ImageClient
from common.errors import ServiceError
from common.http import open_service_client
from common.logging import configure_logging
from common.mongo import DATABASE_UNAVAILABLE, Database, open_database
from common.service_auth import ServiceTokenSigner
from common.settings import load_settings

FAILED = 1
UNAVAILABLE = 69
"""EX_UNAVAILABLE of sysexits.h: nothing is known, try again."""

ResultT = TypeVar("ResultT")


class DatabaseOnly(BaseSettings):
    """For commands that only look: they need no secret."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True)

    service_name: Literal["coin"] = "coin"
    mongo_uri: SecretStr
    mongo_database: str | None = None


@dataclass(frozen=True, slots=True)
class Roads:
    """Ways to the other services, where they are not the network."""

    auth: httpx.AsyncBaseTransport | None = None
    image: httpx.AsyncBaseTransport | None = None


@dataclass(frozen=True, slots=True)
class Tools:
    """What changes wallets, and who can be asked."""

    ledger: Ledger
    images: ImageClient
    database: Database


@asynccontextmanager
async def open_database_only() -> AsyncIterator[Database]:
    async with open_database(load_settings(DatabaseOnly)) as database:
        yield database


@asynccontextmanager
async def open_tools(context: typer.Context) -> AsyncIterator[Tools]:
    settings = load_settings(Settings)
    roads = context.obj if isinstance(context.obj, Roads) else Roads()
    signer = ServiceTokenSigner(settings.service_secret, caller=settings.service_name)
    async with (
        open_database(settings) as database,
        open_service_client(settings.auth_url, settings, transport=roads.auth) as auth,
        open_service_client(settings.image_url, settings, transport=roads.image) as image,
    ):
        store = LedgerStore(database)
        await store.ensure_schema()
        ledger = Ledger(store, AuthClient(auth, signer), signup_bonus_coins=settings.signup_bonus_coins)
        yield Tools(ledger, ImageClient(image, signer), database)


def run(work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run a command's work; what goes wrong is one line on stderr and an exit code."""
    configure_logging("coin", "WARNING", stream=sys.stderr)
    try:
        return asyncio.run(work)
    except ServiceError as error:
        fail(f"{error.code}: {error.message}" + (f" {error.details}" if error.details else ""))
    except DATABASE_UNAVAILABLE as error:
        fail(f"MongoDB does not answer ({type(error).__name__})", code=UNAVAILABLE)


def fail(message: str, *, code: int = FAILED) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)
