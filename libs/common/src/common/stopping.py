"""Hear of the end early: a server tells its application only once the last answer is complete."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def on_stop_signal(action: Callable[[], None]) -> Iterator[None]:
    """Call ``action`` on the event loop as soon as the process is told to stop; the server still hears of it too.

    For answers that have no end of their own, such as streams of events: unless they are ended then, the server waits
    for them in vain. A lifespan is the place to enter this; signals reach it only in the process's main thread.
    """
    loop = asyncio.get_running_loop()
    handlers = {}

    def chained(number: int, before: Callable[[int, FrameType | None], object]) -> None:
        def handle(_: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(action)
            before(number, frame)

        signal.signal(number, handle)
        handlers[number] = (handle, before)

    for number in _SIGNALS:
        before = signal.getsignal(number)
        if callable(before):  # nobody listens where it is not: the process simply ends
            try:
                chained(number, before)
            except ValueError:
                break  # not the main thread
    try:
        yield
    finally:
        for taken, (handle, before) in handlers.items():
            if signal.getsignal(taken) is handle:
                signal.signal(taken, before)
