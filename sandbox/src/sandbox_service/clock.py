"""The vendors' clock: the real time plus what a test moved it by."""

from datetime import datetime, timedelta

from common.clock import utc_now

MAX_OFFSET_SECONDS = 100 * 365 * 86_400


class VendorClock:
    """Renewals, expiries and ``created`` stamps go by it; the life of access tokens does not."""

    def __init__(self) -> None:
        self._offset = timedelta()

    def now(self) -> datetime:
        return utc_now() + self._offset

    def timestamp(self) -> int:
        """Whole seconds since the epoch, as Stripe counts."""
        return int(self.now().timestamp())

    @property
    def offset_seconds(self) -> float:
        return self._offset.total_seconds()

    def advance(self, seconds: float) -> None:
        """Move the clock, a hundred years from the real time at most."""
        offset = self._offset.total_seconds() + seconds
        self._offset = timedelta(seconds=max(-MAX_OFFSET_SECONDS / 2, min(offset, MAX_OFFSET_SECONDS)))

    def reset(self) -> None:
        self._offset = timedelta()
