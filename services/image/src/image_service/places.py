"""How much may go on at once in this process."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from image_service.errors import TooBusyError, TooManyGenerationsError

RETRY_AFTER_SECONDS = 5

KEPT_SHARE = 4
"""One place in so many is kept from users who have one already, so that a few of them cannot take all."""


class Places:
    """Orders under way: a bounded number, of which some are at the engine and the others wait for their turn.

    Args:
        drawing: Calls of the engine in flight.
        drawing_per_user: Of those, one user's share; no user can keep the others waiting.
        waiting: Orders beyond ``drawing``.
        per_user: One user's orders. The last quarter of all places is for users who have none.
    """

    def __init__(self, *, drawing: int, drawing_per_user: int, waiting: int, per_user: int) -> None:
        self._total = drawing + waiting
        self._per_user = per_user
        self._drawing_per_user = drawing_per_user
        self._by_user: Counter[str] = Counter()
        self._turns = asyncio.Semaphore(drawing)
        self._user_turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @property
    def room(self) -> int:
        """How many places are left; below zero if more orders were taken over than there are."""
        return self._total - self._by_user.total()

    def take(self, user_id: str) -> None:
        """Take a place.

        Raises:
            TooManyGenerationsError: The user has too many.
            TooBusyError: There is none left.
        """
        if self._by_user[user_id] >= self._per_user:
            raise TooManyGenerationsError(retry_after_seconds=RETRY_AFTER_SECONDS)
        kept = self._total // KEPT_SHARE if self._by_user[user_id] else 0
        if self.room <= kept:
            raise TooBusyError
        self.take_over(user_id)

    def take_over(self, user_id: str) -> None:
        """Take a place for an order that was accepted already; it is not asked whether there is one."""
        self._by_user[user_id] += 1

    def give_back(self, user_id: str) -> None:
        self._by_user[user_id] -= 1
        if not self._by_user[user_id]:
            del self._by_user[user_id]

    @asynccontextmanager
    async def turn(self, user_id: str, *, max_wait_seconds: float) -> AsyncIterator[None]:
        """Wait for a turn at the engine, and keep it to the end of the block.

        Raises:
            TooBusyError: It did not come in time.
        """
        user_turns = self._user_turns.setdefault(user_id, asyncio.Semaphore(self._drawing_per_user))
        try:
            async with asyncio.timeout(max_wait_seconds) as waiting:
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
