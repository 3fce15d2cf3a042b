"""Error lines for the operator: once in a while for each trouble, since every order would say the same."""

import time
from collections.abc import Callable

from common.logging import get_logger

logger = get_logger(__name__)

ALARM_SECONDS = 60.0
"""One trouble is told no oftener than this."""

MAX_TROUBLES = 100
"""Told apart at most: the names are the vendor's, and a new one a call must fill neither memory nor log."""


class Alarms:
    """Remembers what was told, and when; of what was kept back it tells how often it came.

    Args:
        clock: Seconds that only go forward.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[tuple[int, str], float] = {}
        self._kept_back: dict[tuple[int, str], int] = {}

    def tell(self, event: str, *, status: int, name: str) -> None:
        """Log an error, unless the same was logged a moment ago."""
        trouble = (status, name)
        if trouble not in self._told and len(self._told) >= MAX_TROUBLES:
            trouble = (status, "")
        now = self._clock()
        if now - self._told.get(trouble, -ALARM_SECONDS) < ALARM_SECONDS:
            self._kept_back[trouble] = self._kept_back.get(trouble, 0) + 1
            return
        self._told[trouble] = now
        logger.error(event, status=status, vendor_code=trouble[1], kept_back=self._kept_back.pop(trouble, 0))
