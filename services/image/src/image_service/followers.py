"""How many clients may follow generations at once."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from common.errors import ServiceUnavailableError
from image_service.errors import TooManyFollowersError

RETRY_AFTER_SECONDS = 5


class Followers:
    """Clients that wait for what becomes of generations, in this process.

    Args:
        total: At once.
        per_user: Of those, one user's.
    """

    def __init__(self, *, total: int, per_user: int) -> None:
        self._total = total
        self._per_user = per_user
        self._by_user: Counter[str] = Counter()

    @property
    def number(self) -> int:
        return self._by_user.total()

    @contextmanager
    def place(self, user_id: str) -> Iterator[None]:
        """Be one of them to the end of the block.

        Raises:
            TooManyFollowersError: The user has too many.
            ServiceUnavailableError: There is no room for one more.
        """
        if self._by_user[user_id] >= self._per_user:
            raise TooManyFollowersError(retry_after_seconds=RETRY_AFTER_SECONDS)
        if self.number >= self._total:
            raise ServiceUnavailableError(retry_after_seconds=RETRY_AFTER_SECONDS)
        self._by_user[user_id] += 1
        try:
            yield
        finally:
            self._by_user[user_id] -= 1
            if not self._by_user[user_id]:
                del self._by_user[user_id]
