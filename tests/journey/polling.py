"""Wait for what becomes true by itself; never for a fixed time."""

import asyncio
import time
from collections.abc import Awaitable, Callable

INTERVAL_SECONDS = 0.1


async def until(condition: Callable[[], Awaitable[bool]], what: str, *, seconds: float = 15.0) -> None:
    """Ask ``condition`` until it is true.

    Raises:
        AssertionError: It was still not true after ``seconds``; the message names ``what``.
    """
    deadline = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"still not so after {seconds:.0f} s: {what}")
        await asyncio.sleep(INTERVAL_SECONDS)
