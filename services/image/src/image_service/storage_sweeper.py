"""The storage and its records, held against each other: slowly, all the time, by one of the processes at a time."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from common.errors import ServiceError
from common.logging import get_logger
from image_service.store.sweeps import SweepStore

logger = get_logger(__name__)

LEASE_SECONDS = 600.0
TURN_SECONDS = 300.0
"""What takes longer is broken off, long before another process may begin it."""

PAUSE_SECONDS = 10.0
"""Between two turns of one round: a million pictures take a day or so."""

POLL_SECONDS = 5.0


class Work(Protocol):
    """One thing to look after, in turns of bounded size; each turn may be repeated."""

    @property
    def name(self) -> str: ...

    async def sweep(self, after: str | None, /) -> str | None:
        """Do one turn; returns where the next goes on, ``None`` at the end of a round."""


class StorageSweeper:
    """Takes the turns that are due.

    Args:
        sweeps: Knows which are, and how far each came.
        works: What is to be done.
        interval_seconds: From the end of one round to the beginning of the next.
    """

    def __init__(self, sweeps: SweepStore, works: Sequence[Work], *, interval_seconds: float) -> None:
        self._sweeps = sweeps
        self._works = works
        self._interval_seconds = interval_seconds

    async def sweep(self) -> None:
        """Take one turn at everything that is due."""
        for work in self._works:
            sweep = await self._sweeps.claim(work.name, lease_seconds=LEASE_SECONDS)
            if sweep is None:
                continue
            try:
                async with asyncio.timeout(TURN_SECONDS):
                    position = await work.sweep(sweep.position)
            except (ServiceError, TimeoutError) as error:
                logger.warning("sweep of the storage waits", work=work.name, error=type(error).__name__)
                await self._sweeps.put_off(sweep, sweep.position, seconds=self._pause_seconds())
                continue
            seconds = self._interval_seconds if position is None else self._pause_seconds()
            await self._sweeps.put_off(sweep, position, seconds=seconds)

    def _pause_seconds(self) -> float:
        return min(PAUSE_SECONDS, self._interval_seconds)
