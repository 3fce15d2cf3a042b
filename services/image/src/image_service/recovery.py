"""Ending what another process began, and removing what a delete left behind."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from common.logging import get_logger
from image_service.errors import GenerationFailedError
from image_service.gallery import Gallery
from image_service.runner import AWAY, HAND_OVER_SECONDS, GenerationRunner
from image_service.service import ImageService
from image_service.store.generations import GenerationStore

logger = get_logger(__name__)

MAX_A_ROUND = 100


class Recovery:
    """Works in every process at once: each stale generation is claimed by one of them."""

    def __init__(
        self, generations: GenerationStore, runner: GenerationRunner, service: ImageService, gallery: Gallery
    ) -> None:
        self._generations = generations
        self._runner = runner
        self._service = service
        self._gallery = gallery

    async def show_life(self) -> None:
        """Renew the leases of what this process draws."""
        await self._generations.renew(self._service.running)

    async def recover(self) -> None:
        """End the generations whose owners are gone: what was stored is charged, all else is given back."""
        # First of all: after a time without the database, leases of the living have run out too.
        await self.show_life()
        for _ in range(MAX_A_ROUND):
            generation = await self._generations.claim_stale(besides=self._service.running)
            if generation is None:
                return
            logger.warning("generation taken over", generation_id=generation.id, state=generation.state)
            if generation.state in ("accepted", "drawing"):
                generation = await self._runner.give_up(generation, GenerationFailedError())
            try:
                await self._runner.end(generation)
            except AWAY as error:
                logger.warning("generation not ended", generation_id=generation.id, error=type(error).__name__)
                await self._generations.hand_over(generation.id, seconds=HAND_OVER_SECONDS)
                return

    async def purge(self) -> None:
        """Remove files of deleted pictures until none is left, or the storage fails again."""
        for _ in range(MAX_A_ROUND):
            if not await self._gallery.purge_one():
                return


@asynccontextmanager
async def at_work(recovery: Recovery, *, interval_seconds: float, lease_seconds: float) -> AsyncIterator[None]:
    """Keep the recovery going until the block ends; leases are renewed three times in their life."""
    tasks = [
        asyncio.create_task(_repeat(recovery.show_life, lease_seconds / 3)),
        asyncio.create_task(_repeat(recovery.recover, interval_seconds)),
        asyncio.create_task(_repeat(recovery.purge, interval_seconds)),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _repeat(action: Callable[[], Awaitable[None]], seconds: float) -> None:
    while True:
        try:
            await action()
        # Whatever went wrong this time, the next may go better; nobody else would start this again.
        except Exception as error:
            logger.error("background work failed", work=action.__name__, error=type(error).__name__, exc_info=error)
        await asyncio.sleep(seconds * random.uniform(0.8, 1.2))  # noqa: S311 - only spreads the processes out
