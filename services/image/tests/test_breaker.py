"""The circuit breaker, by a clock that stands still until it is told."""

import asyncio

import pytest

from image_service.providers.breaker import FAILURES, LONGEST_SECONDS, Breaker, BreakerOpenError


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class _BrokenError(Exception):
    pass


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(clock=clock)


async def fail(breaker: Breaker, *, times: int = 1, is_answered: bool = False) -> None:
    async def call() -> None:
        async with breaker.attempt(object()) as attempt:
            if is_answered:
                attempt.answered()
            raise _BrokenError

    for _ in range(times):
        with pytest.raises(_BrokenError):
            await call()


async def succeed(breaker: Breaker) -> None:
    async with breaker.attempt(object()):
        pass


async def test_it_opens_after_failures_in_a_row(breaker: Breaker) -> None:
    await fail(breaker, times=FAILURES - 1)
    await succeed(breaker)
    await fail(breaker, times=FAILURES - 1)
    assert breaker.seconds_left == 0
    await fail(breaker)
    assert breaker.seconds_left == 1
    with pytest.raises(BreakerOpenError) as refused:
        await succeed(breaker)
    assert refused.value.seconds == 1


async def test_one_order_that_fails_again_and_again_does_not_speak_for_the_others(breaker: Breaker) -> None:
    async def call(order: str) -> None:
        async with breaker.attempt(order):
            raise _BrokenError

    for order in ("a", "b", "c", "d", *"aabbccdd"):
        with pytest.raises(_BrokenError):
            await call(order)
        assert breaker.seconds_left == 0
    with pytest.raises(_BrokenError):
        await call("e")
    assert breaker.seconds_left == 1


async def test_refusals_of_one_order_are_no_failures(breaker: Breaker) -> None:
    await fail(breaker, times=FAILURES - 1)
    await fail(breaker, is_answered=True)
    await fail(breaker, times=FAILURES - 1)
    assert breaker.seconds_left == 0


async def test_it_stays_open_longer_after_each_probe_that_failed(breaker: Breaker, clock: Clock) -> None:
    await fail(breaker, times=FAILURES)
    lengths = []
    for _ in range(5):
        lengths.append(breaker.seconds_left)
        clock.now += breaker.seconds_left
        await fail(breaker)
    assert lengths == [1, 2, 4, LONGEST_SECONDS, LONGEST_SECONDS]
    clock.now += LONGEST_SECONDS
    await succeed(breaker)
    # It begins anew.
    await fail(breaker, times=FAILURES - 1)
    assert breaker.seconds_left == 0
    await fail(breaker)
    assert breaker.seconds_left == 1


async def test_one_probe_at_a_time_and_the_others_wait_for_it(breaker: Breaker, clock: Clock) -> None:
    await fail(breaker, times=FAILURES)
    clock.now += 1
    assert breaker.seconds_left == 0
    answer = asyncio.Event()
    calls = 0

    async def call() -> None:
        nonlocal calls
        async with breaker.attempt(object()):
            calls += 1
            await answer.wait()

    tasks = [asyncio.create_task(call()) for _ in range(4)]
    await asyncio.wait(tasks, timeout=0.05)
    assert calls == 1
    assert breaker.seconds_left > 0, "who asks now hears no"
    answer.set()
    await asyncio.gather(*tasks)
    assert calls == 4


async def test_who_waited_for_a_probe_that_failed_is_refused(breaker: Breaker, clock: Clock) -> None:
    await fail(breaker, times=FAILURES)
    clock.now += 1
    answer = asyncio.Event()

    async def probe() -> None:
        async with breaker.attempt(object()):
            await answer.wait()
            raise _BrokenError

    probing = asyncio.create_task(probe())
    waiting = asyncio.create_task(succeed(breaker))
    await asyncio.wait([waiting], timeout=0.05)
    answer.set()
    with pytest.raises(_BrokenError):
        await probing
    with pytest.raises(BreakerOpenError):
        await waiting
    assert breaker.seconds_left == 2


async def test_a_probe_called_off_says_nothing(breaker: Breaker, clock: Clock) -> None:
    await fail(breaker, times=FAILURES)
    clock.now += 1
    probe = asyncio.create_task(_forever(breaker))
    await asyncio.wait([probe], timeout=0.05)
    assert breaker.seconds_left > 0
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    assert breaker.seconds_left == 0
    await succeed(breaker)


async def test_calls_begun_before_say_nothing_of_what_came_after(breaker: Breaker, clock: Clock) -> None:
    go = asyncio.Event()

    async def late(*, fails: bool) -> None:
        async with breaker.attempt(object()):
            await go.wait()
            if fails:
                raise _BrokenError

    tasks = [asyncio.create_task(late(fails=fails)) for fails in (True, False, True)]
    await asyncio.wait(tasks, timeout=0.05)
    await fail(breaker, times=FAILURES)
    go.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert breaker.seconds_left == 1, "neither longer nor closed"
    clock.now += 1
    await succeed(breaker)
    assert breaker.seconds_left == 0


async def _forever(breaker: Breaker) -> None:
    async with breaker.attempt(object()):
        await asyncio.Event().wait()
