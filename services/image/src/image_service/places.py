"""How much may go on at once in this process."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from image_service.errors import TooBusyError, TooManyGenerationsError

RETRY_AFTER_SECONDS = 5


class Places:
    """Orders under way: a bounded number, of which some are at the engine and the others wait for their turn.

    Args:
        drawing: Calls of the engine in flight.
        drawing_per_user: Of those, one user's share; no user can keep the others waiting.
        waiting: Orders beyond ``drawing``.
        per_user: One user's orders.
        max_wait_seconds: For a turn.
    """

    def __init__(
        self, *, drawing: int, drawing_per_user: int, waiting: int, per_user: int, max_wait_seconds: float
    ) -> None:
        self._total = drawing + waiting
        self._per_user = per_user
        self._drawing_per_user = drawing_per_user
        self._max_wait_seconds = max_wait_seconds
        self._by_user: Counter[str] = Counter()
        self._turns = asyncio.Semaphore(drawing)
        self._user_turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    def take(self, user_id: str) -> None:
        """Take a place.

        Raises:
            TooManyGenerationsError: The user has too many.
            TooBusyError: There is none left.
        """
        if self._by_user[user_id] >= self._per_user:
            raise TooManyGenerationsError(retry_after_seconds=RETRY_AFTER_SECONDS)
        if self._by_user.total() >= self._total:
            raise TooBusyError
        self._by_user[user_id] += 1

    def give_back(self, user_id: str) -> None:
        self._by_user[user_id] -= 1
        if not self._by_user[user_id]:
            del self._by_user[user_id]

    @asynccontextmanager
    async def turn(self, user_id: str) -> AsyncIterator[None]:
        """Wait for a turn at the engine, and keep it to the end of the block.

        Raises:
            TooBusyError: It did not come in time.
        """
        user_turns = self._user_turns.setdefault(user_id, asyncio.Semaphore(self._drawing_per_user))
        try:
            async with asyncio.timeout(self._max_wait_seconds) as waiting:
                await user_turns.acquire()
                try:
                    await self._turns.acquire()
                except BaseException:
                    user_turns.release()
                    raise
                waiting.reschedule(None)
        except TimeoutError as error:
            raise TooBusyError from error
        try:
            yield
        finally:
            self._turns.release()
            user_turns.release()
