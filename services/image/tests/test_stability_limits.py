"""When an engine is not called, or not yet: the breaker, its own wishes, and calls in flight."""

import asyncio
from datetime import timedelta
from email.utils import format_datetime

import httpx
import pytest

from common.clock import utc_now
from image_service.errors import (
    ProviderError,
    ProviderUnavailableError,
    TooBusyError,
)
from image_service.providers import Provider
from image_service.settings import EngineName
from image_service.testing.wire import BOTH, CORE, V1, Open, Wire, draw_failing, opened_at, order, refusal


@pytest.fixture
async def wire() -> Wire:
    return Wire()


@pytest.fixture
def opened(wire: Wire) -> Open:
    return opened_at(wire)


async def test_the_breaker_opens_and_one_call_closes_it(wire: Wire, opened: Open) -> None:
    async with opened(V1) as provider:
        kinds: list[httpx.Response | Exception] = [
            refusal(500, "server_error"),
            httpx.Response(200, text="<html>"),
            httpx.ReadError("reset"),
            httpx.ReadTimeout("slow"),
            refusal(429, "rate_limit_exceeded"),
        ]
        for kind in kinds:
            provider.ensure_available()
            wire.answers = [kind]
            await draw_failing(provider)
        with pytest.raises(ProviderUnavailableError) as refused:
            provider.ensure_available()
        assert refused.value.headers["Retry-After"] == "1"
        assert isinstance(await draw_failing(provider), ProviderUnavailableError)
        assert wire.calls == len(kinds), "nobody was called"
        async with asyncio.timeout(5):
            while not _is_available(provider):  # noqa: ASYNC110 - time is what is waited for
                await asyncio.sleep(0.05)
        assert len(await provider.draw(order())) == 1
        provider.ensure_available()


async def test_refusals_that_are_the_operators_do_not_open_it(wire: Wire, opened: Open) -> None:
    async with opened(V1) as provider:
        for status, name in ((401, "unauthorized"), (402, "payment_required"), (404, "not_found")) * 3:
            wire.answers = [refusal(status, name)]
            await draw_failing(provider)
        provider.ensure_available()


async def test_the_samples_of_one_order_all_wait_for_the_probe(wire: Wire, opened: Open) -> None:
    async with opened(CORE) as provider:
        for _ in range(5):
            provider.ensure_available()
            wire.answers = [refusal(500, "internal_error")] * 3
            await draw_failing(provider, 3)
        wire.answers = []
        async with asyncio.timeout(5):
            while not _is_available(provider):  # noqa: ASYNC110 - time is what is waited for
                await asyncio.sleep(0.05)
        assert len(await provider.draw(order(4))) == 4


@pytest.mark.parametrize("engine", BOTH)
async def test_a_short_wait_is_waited(wire: Wire, opened: Open, engine: EngineName) -> None:
    async with opened(engine) as provider:
        wire.answers = [refusal(429, "rate_limit_exceeded", Retry_After="1")]
        failed = await draw_failing(provider)
        assert isinstance(failed, ProviderUnavailableError)
        assert failed.is_repeatable
        provider.ensure_available()
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert len(await provider.draw(order())) == 1
        assert loop.time() - began > 0.9


@pytest.mark.parametrize(("told", "heard"), [("7", "7"), ("60", "60"), ("99999999", "60"), ("1000", "60")])
async def test_a_long_one_is_passed_on_and_nobody_calls_meanwhile(
    wire: Wire, opened: Open, told: str, heard: str
) -> None:
    async with opened(V1) as provider:
        wire.answers = [refusal(429, "rate_limit_exceeded", Retry_After=told)]
        failed = await draw_failing(provider)
        assert (failed.headers["Retry-After"], failed.code) == (heard, "provider_unavailable")
        assert not (isinstance(failed, ProviderError) and failed.is_repeatable)
        with pytest.raises(ProviderUnavailableError) as refused:
            provider.ensure_available()
        assert refused.value.headers["Retry-After"] == heard
        assert (await draw_failing(provider)).headers["Retry-After"] == heard
        assert wire.calls == 1


async def test_it_may_be_a_date(wire: Wire, opened: Open) -> None:
    async with opened(V1) as provider:
        moment = utc_now() + timedelta(seconds=20)
        wire.answers = [refusal(429, "rate_limit_exceeded", Retry_After=format_datetime(moment, usegmt=True))]
        failed = await draw_failing(provider)
        assert 17 <= int(failed.headers["Retry-After"]) <= 20


@pytest.mark.parametrize("told", [None, "", "soon", "-1", "²", "99999999999"])
async def test_without_one_the_order_waits_but_not_the_others(wire: Wire, opened: Open, told: str | None) -> None:
    async with opened(V1) as provider:
        headers = {} if told is None else {b"Retry-After": told.encode()}
        body = {"id": "rate_limit_exceeded", "name": "rate_limit_exceeded", "errors": ["vendor's words"]}
        wire.answers = [httpx.Response(429, json=body, headers=headers)]
        assert (await draw_failing(provider)).headers["Retry-After"] == "60"
        provider.ensure_available()
        assert len(await provider.draw(order())) == 1


async def test_calls_in_flight_are_bounded(wire: Wire, opened: Open) -> None:
    async with opened(CORE, stability_max_calls=3) as provider:
        wire.open.clear()
        drawing = [asyncio.create_task(provider.draw(order(4))) for _ in range(3)]
        await asyncio.wait(drawing, timeout=0.1)
        assert (wire.calls, wire.most_at_once) == (3, 3)
        wire.open.set()
        assert [len(drawn) for drawn in await asyncio.gather(*drawing)] == [4, 4, 4]
        assert (wire.calls, wire.most_at_once) == (12, 3)


async def test_and_so_is_the_wait_for_one(wire: Wire, opened: Open) -> None:
    async with opened(V1, stability_max_calls=1, max_wait_seconds=0.1) as provider:
        wire.open.clear()
        first = asyncio.create_task(provider.draw(order()))
        async with asyncio.timeout(5):
            while not wire.calls:  # noqa: ASYNC110 - the transport has no event of its own
                await asyncio.sleep(0.01)
        assert isinstance(await draw_failing(provider), TooBusyError)
        wire.open.set()
        assert len(await first) == 1
        provider.ensure_available()


def _is_available(provider: Provider) -> bool:
    try:
        provider.ensure_available()
    except ProviderUnavailableError:
        return False
    return True
