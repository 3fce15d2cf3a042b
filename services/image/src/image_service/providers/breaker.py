"""A circuit breaker: who calls an engine that keeps failing is refused at once, until one call has shown otherwise."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager

from common.logging import get_logger

logger = get_logger(__name__)

FAILURES = 5
"""Orders in a row that failed; then it opens. One that no engine can draw, repeated, does not speak for the others."""

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 5.0
"""How long it stays open: twice as long after each probe that failed, up to this, which keeps people from pictures."""

PROBE_SECONDS = 1.0
"""What is told to who asks while a probe is under way: it may take longer, but nobody knows."""


class BreakerOpenError(Exception):
    """Not now; ``seconds`` until it is worth another try."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"open for {seconds:.1f} s")
        self.seconds = seconds


class Attempt:
    """One call; a failure of it counts against the engine unless the engine has answered as it should."""

    def __init__(self) -> None:
        self.is_answered = False

    def answered(self) -> None:
        """Say that the engine works, whatever it has said."""
        self.is_answered = True


class Breaker:
    """Closed: calls are made. Open: none is. Half-open: one is, and the others wait for its outcome.

    Args:
        clock: Seconds that only go forward.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: set[Hashable] = set()
        """The orders that failed since one call was answered."""
        self._open_seconds = 0.0
        """Length of the present opening; 0 while closed."""
        self._open_until = 0.0
        self._probe: asyncio.Future[None] | None = None
        self._phase = 0
        """Counts openings and closings: what was begun in another phase says nothing about this one."""

    @property
    def seconds_left(self) -> float:
        """How long calls are refused from now on; 0 if one would be made."""
        if not self._open_seconds:
            return 0.0
        if self._probe is not None:
            return PROBE_SECONDS
        return max(0.0, self._open_until - self._clock())

    @asynccontextmanager
    async def attempt(self, order: Hashable) -> AsyncIterator[Attempt]:
        """Make one call of ``order`` inside the block.

        Raises:
            BreakerOpenError: It must not be made now.
        """
        while self._probe is not None:
            await asyncio.wait([self._probe])  # leaves the probe alone, whatever becomes of who waits
        if (seconds := self.seconds_left) > 0:
            raise BreakerOpenError(seconds)
        phase, attempt = self._phase, Attempt()
        if self._open_seconds:
            self._probe = asyncio.get_running_loop().create_future()
        try:
            yield attempt
        except Exception:
            self._count(phase, order, is_answered=attempt.is_answered)
            raise
        except BaseException:  # called off from outside: says nothing about the engine
            self._end_probe(phase)
            raise
        self._count(phase, order, is_answered=True)

    def _count(self, phase: int, order: Hashable, *, is_answered: bool) -> None:
        if phase != self._phase:
            return
        if is_answered:
            self._failed.clear()
            if self._open_seconds:
                self._close()
            return
        self._failed.add(order)
        if self._open_seconds or len(self._failed) >= FAILURES:
            self._open()

    def _open(self) -> None:
        self._failed.clear()
        self._open_seconds = min(self._open_seconds * 2 or FIRST_SECONDS, LONGEST_SECONDS)
        self._open_until = self._clock() + self._open_seconds
        logger.error("the engine keeps failing", seconds=self._open_seconds)
        self._next_phase()

    def _close(self) -> None:
        self._open_seconds = 0.0
        logger.warning("the engine works again")
        self._next_phase()

    def _next_phase(self) -> None:
        self._end_probe(self._phase)
        self._phase += 1

    def _end_probe(self, phase: int) -> None:
        if phase == self._phase and self._probe is not None:
            self._probe.set_result(None)
            self._probe = None
