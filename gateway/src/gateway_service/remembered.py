"""An answer worked out once for everybody who asks within a few seconds."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Remembered(Generic[T]):
    """Calls ``work`` at most once every ``ttl_seconds``, however many ask at the same time."""

    def __init__(self, work: Callable[[], Awaitable[T]], *, ttl_seconds: float) -> None:
        self._work = work
        self._ttl_seconds = ttl_seconds
        self._lock = asyncio.Lock()
        self._known: tuple[float, T] | None = None

    async def get(self) -> T:
        loop = asyncio.get_running_loop()
        async with self._lock:
            if self._known is None or loop.time() - self._known[0] >= self._ttl_seconds:
                self._known = (loop.time(), await self._work())
            return self._known[1]
