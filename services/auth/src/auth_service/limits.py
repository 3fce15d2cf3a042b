"""How often something may be tried before each further time costs a growing wait."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from auth_service.errors import TooManyAttemptsError
from auth_service.models import Tally
from auth_service.store import TallyStore
from common.clock import utc_now

FIRST_WAIT_SECONDS = 2
MAX_WAIT_SECONDS = 15 * 60


@dataclass(frozen=True, slots=True)
class Limit:
    """So many times within a window that opens with the first; what is tried during a wait is not counted."""

    name: str
    allowed: int
    window: timedelta

    def of(self, subject: str) -> "Counted":
        """Name what is counted; hashed, so that no address lies in a collection of failures."""
        return Counted(f"{self.name}:{hashlib.sha256(subject.encode()).hexdigest()}", self)


@dataclass(frozen=True, slots=True)
class Counted:
    """One thing that a limit counts: an account, or a client address."""

    id: str
    limit: Limit


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of a limit."""

    limit: int
    remaining: int
    reset_seconds: int
    """Until the window ends or the wait is over."""

    wait_seconds: float
    """Until the next try; 0 if it may be made now."""

    @classmethod
    def of(cls, limit: Limit, tally: Tally | None, moment: datetime) -> "Allowance":
        if tally is None:
            return cls(limit.allowed, limit.allowed, int(limit.window.total_seconds()), 0)
        wait = 0.0
        if due := _wait_seconds(limit, tally.count):
            wait = max(0.0, due - (moment - tally.last_at).total_seconds())
        reset = wait or (tally.expires_at - moment).total_seconds()
        return cls(limit.allowed, max(0, limit.allowed - tally.count), math.ceil(reset), wait)

    def headers(self) -> dict[str, str]:
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_seconds),
        }


def _wait_seconds(limit: Limit, count: int) -> int:
    """Return 2, 4, 8 … s after the last time allowed and each one after it, 15 min at most."""
    over = count - limit.allowed
    # The bound on the exponent keeps a long attack from making numbers of a million digits.
    return 0 if over < 0 else min(FIRST_WAIT_SECONDS << min(over, 20), MAX_WAIT_SECONDS)


class Limiter:
    """Counts in the database, for all replicas together."""

    def __init__(self, tallies: TallyStore, *, now: Callable[[], datetime] = utc_now) -> None:
        self._tallies = tallies
        self._now = now

    async def allowance(self, *counted: Counted) -> Allowance:
        """Return the tightest of several limits: the longest wait, else what has least left."""
        moment = self._now()
        tallies = await self._tallies.find([one.id for one in counted], moment)
        return min(
            (Allowance.of(one.limit, tallies.get(one.id), moment) for one in counted),
            key=lambda allowance: (-allowance.wait_seconds, allowance.remaining),
        )

    async def check(self, *counted: Counted) -> None:
        """Let through whom no limit holds.

        Raises:
            TooManyAttemptsError: One of them wants a wait.
        """
        allowance = await self.allowance(*counted)
        if allowance.wait_seconds > 0:
            raise TooManyAttemptsError(retry_after_seconds=allowance.wait_seconds, rate_limit=allowance.headers())

    async def count(self, *counted: Counted) -> Allowance:
        """Count one more on each; returns the tightest."""
        for one in counted:
            await self._tallies.add(one.id, self._now(), window=one.limit.window)
        return await self.allowance(*counted)

    async def forget(self, counted: Counted) -> None:
        await self._tallies.remove(counted.id)
