"""Work that a process does again and again, besides answering."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from common.logging import get_logger
from common.mongo import DATABASE_UNAVAILABLE

logger = get_logger(__name__)

RETRY_SECONDS = 2.0
"""After a failure, if the next turn would come later."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is done, and how many seconds lie between two times."""

    action: Callable[[], Awaitable[None]]
    seconds: float


@asynccontextmanager
async def at_work(*jobs: Job) -> AsyncIterator[None]:
    """Do all jobs side by side until the block ends."""
    tasks = [asyncio.create_task(_repeat(job)) for job in jobs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _repeat(job: Job) -> None:
    while True:
        seconds = job.seconds
        try:
            await job.action()
        # Whatever went wrong this time, the next may go better; nobody else would start this again.
        except Exception as error:
            seconds = min(seconds, RETRY_SECONDS)
            cause = None if isinstance(error, DATABASE_UNAVAILABLE) else error
            work = getattr(job.action, "__qualname__", repr(job.action))
            logger.error("background work failed", work=work, error=type(error).__name__, exc_info=cause)
        await asyncio.sleep(seconds * random.uniform(0.8, 1.2))  # noqa: S311 - only spreads the processes out
