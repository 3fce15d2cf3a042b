"""What commands work with, opened from the environment of the service."""

import asyncio
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NoReturn, TypeVar

import typer

from common.errors import ServiceError
from common.logging import configure_logging
from common.mongo import DATABASE_UNAVAILABLE, open_database
from common.settings import load_settings
from image_service.reports import ReportService
from image_service.settings import Settings
from image_service.storage.opening import open_storage
from image_service.store.images import ImageStore
from image_service.store.reports import ReportStore

FAILED = 1
UNAVAILABLE = 69
"""EX_UNAVAILABLE of sysexits.h: nothing is known, try again."""

ResultT = TypeVar("ResultT")


@asynccontextmanager
async def open_reports() -> AsyncIterator[ReportService]:
    settings = load_settings(Settings)
    async with open_database(settings) as database, open_storage(settings) as storage:
        yield ReportService(ReportStore(database), ImageStore(database), storage, reports_a_day=settings.reports_a_day)


def run(work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run a command's work; what goes wrong is one line on stderr and an exit code."""
    configure_logging("image", "WARNING", stream=sys.stderr)
    try:
        return asyncio.run(work)
    except ServiceError as error:
        fail(f"{error.code}: {error.message}")
    except DATABASE_UNAVAILABLE as error:
        fail(f"MongoDB does not answer ({type(error).__name__})", code=UNAVAILABLE)


def fail(message: str, *, code: int = FAILED) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)
