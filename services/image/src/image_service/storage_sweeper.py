"""The storage and its records, held against each other: slowly, all the time, by one of the processes at a time."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from common.duties import Duty, DutyLostError, DutyStore
from common.errors import ServiceError
from common.logging import get_logger

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
        duties: Knows which are, and how far each came.
        works: What is to be done.
        interval_seconds: From the end of one round to the beginning of the next.
    """

    def __init__(self, duties: DutyStore, works: Sequence[Work], *, interval_seconds: float) -> None:
        self._duties = duties
        self._works = works
        self._interval_seconds = interval_seconds

    async def sweep(self) -> None:
        """Take one turn at everything that is due."""
        for work in self._works:
            duty = await self._duties.claim(work.name, lease_seconds=LEASE_SECONDS)
            if duty is not None:
                await self._take_turn(work, duty)

    async def _take_turn(self, work: Work, duty: Duty) -> None:
        pause = min(PAUSE_SECONDS, self._interval_seconds)
        position: str | None = duty.result.get("position")
        try:
            async with asyncio.timeout(TURN_SECONDS):
                position = await work.sweep(position)
            if position is None:
                pause = self._interval_seconds
        except (ServiceError, TimeoutError) as error:
            logger.warning("sweep of the storage waits", work=work.name, error=type(error).__name__)
        try:
            await self._duties.finish(duty, {"position": position}, again_seconds=pause)
        except DutyLostError:
            logger.warning("sweep of the storage goes on elsewhere", work=work.name)
