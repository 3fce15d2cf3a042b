"""One operation's tries to get its entry into a wallet's chain."""

import asyncio
import random
from dataclasses import dataclass

from common.logging import get_logger

logger = get_logger(__name__)

MAX_PAUSE_SECONDS = 0.25
BUSY_RETRIES = 20
"""Collisions after which a warning is logged: something writes this wallet from many processes."""


@dataclass(slots=True)
class Attempt:
    """How far one operation has come."""

    entry_id: str
    look: bool
    unsure: bool = False
    """An insert is on the road or its answer was lost."""
    lost_answer: bool = False
    tries: int = 0

    async def pause(self, user_id: str) -> None:
        """Wait a random while, longer each time: full jitter, so that colliding writers part."""
        self.tries += 1
        if self.tries == BUSY_RETRIES:
            logger.warning("wallet is contended", user_id=user_id)
        await asyncio.sleep(random.uniform(0, min(MAX_PAUSE_SECONDS, 0.002 * 2**self.tries)))  # noqa: S311 - jitter
