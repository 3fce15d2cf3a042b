"""Whoever has answers without an end hears at once that the process is to stop."""

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from common.stopping import on_stop_signal


@pytest.fixture
def told() -> Iterator[list[int]]:
    """What a server's own handler of SIGTERM has heard."""
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    yield heard
    signal.signal(signal.SIGTERM, before)


async def test_the_application_hears_of_it_and_the_server_too(told: list[int]) -> None:
    servers = signal.getsignal(signal.SIGTERM)
    stopping = asyncio.Event()
    with on_stop_signal(stopping.set):
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(stopping.wait(), 5)
    assert told == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is servers


async def test_a_signal_nobody_listens_to_is_left_alone() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with on_stop_signal(lambda: None):
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


async def test_outside_the_main_thread_there_are_no_signals() -> None:
    async def enter() -> None:
        with on_stop_signal(lambda: None):
            await asyncio.sleep(0)

    await asyncio.to_thread(asyncio.run, enter())


async def test_who_has_taken_the_signal_since_keeps_it(told: list[int]) -> None:
    def later(*_: object) -> None: ...

    with on_stop_signal(lambda: None):
        signal.signal(signal.SIGTERM, later)
    assert signal.getsignal(signal.SIGTERM) is later
