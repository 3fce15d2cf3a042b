"""Where pictures are drawn: a few threads, off the event loop."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from sandbox_service.pictures.draw import Commission, draw_png

MAX_WAITING = 200
"""Pictures admitted and not yet drawn; beyond it the vendor's rate limit answers, so that memory stays bounded."""


class StudioBusyError(Exception):
    """Too many pictures are waiting."""


class Studio:
    """NumPy and Pillow let go of the interpreter while they work, so threads are enough."""

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="studio")
        self._waiting = 0

    def admit(self, pictures: int) -> None:
        """Say that ``pictures`` are about to be asked for.

        Raises:
            StudioBusyError: They would be too many.
        """
        if self._waiting + pictures > MAX_WAITING:
            raise StudioBusyError

    async def draw(self, commission: Commission) -> bytes:
        """The picture as PNG."""
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, draw_png, commission)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)
