"""Finishes in the background what a crash or an absent auth left half-way."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from common.errors import ServiceError
from common.logging import get_logger
from common.mongo import DATABASE_UNAVAILABLE
from common.request_id import bind_request
from user_service.service import ProfileService

logger = get_logger(__name__)

CAN_WAIT: tuple[type[Exception], ...] = (ServiceError, *DATABASE_UNAVAILABLE)


async def heal_forever(profiles: ProfileService, *, interval_seconds: float, after_seconds: float) -> None:
    """Look for changes left half-way, again and again; every replica may do so at once.

    Args:
        profiles: Whose changes.
        interval_seconds: Between two looks, give or take a quarter, so that replicas do not march in step.
        after_seconds: Age from which a change counts as left half-way.
    """
    while True:
        await asyncio.sleep(interval_seconds * random.uniform(0.75, 1.25))  # noqa: S311 - no secret
        bind_request(None, None)
        try:
            await profiles.heal(older_than=timedelta(seconds=after_seconds))
        except CAN_WAIT as error:
            logger.warning("changes have to wait", error=type(error).__name__)
        except Exception:
            logger.exception("healing failed")  # the next round may do better; without one nothing would


@asynccontextmanager
async def healing(profiles: ProfileService, *, interval_seconds: float, after_seconds: float) -> AsyncIterator[None]:
    """Heal in the background while the block runs."""
    task = asyncio.create_task(
        heal_forever(profiles, interval_seconds=interval_seconds, after_seconds=after_seconds), name="healer"
    )
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
