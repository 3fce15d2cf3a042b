"""Do a piece of work once for all who want it at the same time."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")


class Flights:
    """Pieces of work under way, by key; each goes on to its end even if everybody who waited has left."""

    def __init__(self) -> None:
        self._under_way: dict[Hashable, tuple[asyncio.Task[Any], float]] = {}

    async def join(
        self,
        key: Hashable,
        work: Callable[[], Coroutine[Any, Any, ResultT]],
        *,
        within_seconds: float | None = None,
    ) -> ResultT:
        """Return the result of ``work``, begun now unless it is under way for ``key`` already.

        Args:
            key: Says what is the same piece of work.
            work: Begins it.
            within_seconds: Counted from its beginning, so that late comers do not each wait as long again.

        Raises:
            TimeoutError: It takes longer, and goes on.
        """
        loop = asyncio.get_running_loop()
        if key not in self._under_way:
            task = asyncio.create_task(work())
            self._under_way[key] = (task, loop.time())
            task.add_done_callback(lambda done: self._land(key, done))
        task, begun = self._under_way[key]
        timeout = None if within_seconds is None else max(0.0, begun + within_seconds - loop.time())
        result: ResultT = await asyncio.wait_for(asyncio.shield(task), timeout)
        return result

    async def close(self, *, within_seconds: float) -> None:
        """Let what is under way end, and end what does not."""
        tasks = [task for task, _ in self._under_way.values()]
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=within_seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def _land(self, key: Hashable, task: asyncio.Task[Any]) -> None:
        del self._under_way[key]
        if not task.cancelled():
            task.exception()  # told to those who wait; if none is left it is no "never retrieved"
