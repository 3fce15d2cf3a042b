"""Wait for what becomes true by itself; never for a fixed time."""

import asyncio
from collections.abc import Callable

INTERVAL_SECONDS = 0.01


async def until(condition: Callable[[], object], *, seconds: float = 10.0) -> None:
    """Look until ``condition`` is true.

    Raises:
        AssertionError: It was still not true after ``seconds``.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not condition():  # what is waited for has no event to offer
        if loop.time() > deadline:
            raise AssertionError(f"still not so after {seconds:.0f} s")
        await asyncio.sleep(INTERVAL_SECONDS)
