"""Where pictures are drawn: a few threads, off the event loop."""

import asyncio
import ctypes
import gc
from concurrent.futures import ThreadPoolExecutor

from sandbox_service.pictures.draw import Commission, draw_file

MAX_WAITING = 200
"""Pictures admitted and not yet drawn; beyond it the vendor's rate limit answers, so that memory stays bounded."""

IDLE_SECONDS = 0.5
"""So long after the last picture freed memory is given back."""


_M_ARENA_MAX = -8
"""glibc's ``malloc.h``."""


def _share_one_heap() -> None:
    """A heap for each thread would keep its own leftovers: 120 MB instead of 90 after some hundred pictures."""
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_M_ARENA_MAX, 1)


def _give_memory_back() -> None:
    """Return freed canvases and answers to the system; glibc would keep them for the next picture."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class StudioBusyError(Exception):
    """Too many pictures are waiting."""


class Studio:
    """NumPy and Pillow let go of the interpreter while they work, so threads are enough."""

    def __init__(self, threads: int) -> None:
        _share_one_heap()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="studio")
        self._waiting = 0
        self._cleaning: asyncio.TimerHandle | None = None

    def admit(self, pictures: int) -> None:
        """Say that ``pictures`` are about to be asked for.

        Raises:
            StudioBusyError: They would be too many.
        """
        if self._waiting + pictures > MAX_WAITING:
            raise StudioBusyError

    async def draw(self, commission: Commission) -> bytes:
        """The picture as a file."""
        loop = asyncio.get_running_loop()
        self._waiting += 1
        try:
            return await loop.run_in_executor(self._threads, draw_file, commission)
        finally:
            self._waiting -= 1
            if self._cleaning is not None:
                self._cleaning.cancel()
            self._cleaning = loop.call_later(IDLE_SECONDS, self._threads.submit, _give_memory_back)

    def close(self) -> None:
        if self._cleaning is not None:
            self._cleaning.cancel()
        self._threads.shutdown(wait=True, cancel_futures=True)
