"""Stability's refusals and failures on the wire, of both generations: what they are called, and what follows."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from common.clock import utc_now
from common.errors import ServiceError
from common.testing import service_settings
from image_service.errors import (
    ContentRejectedError,
    PromptLanguageError,
    ProviderError,
    ProviderFailedError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    TooBusyError,
)
from image_service.orders import Order
from image_service.providers import Provider
from image_service.providers.stability import open_engine
from image_service.settings import EngineName, Settings
from image_service.testing import artifact, draw_png

V1: EngineName = "stable-diffusion-xl-1024-v1-0"
CORE: EngineName = "core"
BOTH: list[EngineName] = [V1, CORE]

Answer = Callable[[httpx.Request], Any]
Open = Callable[..., AbstractAsyncContextManager[Provider]]


class Wire(httpx.AsyncBaseTransport):
    """A vendor that answers as told, and well if nothing is told."""

    def __init__(self) -> None:
        self.answers: list[httpx.Response | Exception] = []
        self.calls = 0
        self.most_at_once = 0
        self.open = asyncio.Event()
        self.open.set()
        self._at_once = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.calls += 1
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            await self.open.wait()
        finally:
            self._at_once -= 1
        if not self.answers:
            return good(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        stream = httpx.ByteStream(answer.content) if answer.is_closed else answer.stream
        return httpx.Response(answer.status_code, headers=answer.headers, stream=stream)


def good(request: httpx.Request) -> httpx.Response:
    if request.url.path.startswith("/v1/"):
        samples = json.loads(request.content)["samples"]
        body = json.dumps({"artifacts": [artifact(draw_png(), seed=n + 1) for n in range(samples)]}).encode()
        return httpx.Response(200, stream=httpx.ByteStream(body))
    return httpx.Response(
        200, headers={"finish-reason": "SUCCESS", "seed": "1"}, stream=httpx.ByteStream(draw_png(64, 64))
    )


def refusal(status: int, name: str, **headers: str) -> httpx.Response:
    body = {"id": "1", "name": name, "message": "vendor's words", "errors": ["vendor's words"]}
    return httpx.Response(status, json=body, headers={key.replace("_", "-"): value for key, value in headers.items()})


def order(samples: int = 1, **changes: Any) -> Order:
    plain = {"prompt": "a fox", "negative_prompt": None, "style_preset": None, "width": 1024, "height": 1024}
    return Order.model_validate(plain | {"samples": samples, "steps": 30, "cfg_scale": 7, "seed": None} | changes)


@pytest.fixture
async def wire() -> Wire:
    return Wire()


@pytest.fixture
def opened(wire: Wire) -> Open:
    def begin(engine: EngineName, **overrides: Any) -> AbstractAsyncContextManager[Provider]:
        values = {"stability_api_key": SecretStr("sk-test"), "stability_api_base": "http://engine.test"}
        settings = service_settings(Settings, "mongodb://x", "x", **(values | {"stability_engine": engine} | overrides))
        return open_engine(settings, transport=wire)

    return begin


async def failure(provider: Provider, samples: int = 1) -> ServiceError:
    with pytest.raises(ServiceError) as failed:
        await provider.draw(order(samples))
    assert "vendor" not in str(failed.value)
    return failed.value


@pytest.mark.parametrize("engine", BOTH)
@pytest.mark.parametrize(
    ("answer", "error", "is_repeatable"),
    [
        (refusal(400, "bad_request"), ProviderFailedError, False),
        (refusal(401, "unauthorized"), ProviderFailedError, False),
        (refusal(402, "payment_required"), ProviderUnavailableError, False),
        (refusal(403, "permission_denied"), ProviderFailedError, False),
        (refusal(404, "not_found"), ProviderFailedError, False),
        (refusal(413, "payload_too_large"), ProviderFailedError, False),
        (refusal(429, "insufficient_balance"), ProviderUnavailableError, False),
        (refusal(429, "rate_limit_exceeded"), ProviderUnavailableError, False),
        (refusal(500, "server_error"), ProviderUnavailableError, True),
        (refusal(500, "internal_error"), ProviderUnavailableError, True),
        (httpx.Response(502, text="<html>bad gateway</html>"), ProviderUnavailableError, True),
        (httpx.Response(302, headers={"Location": "http://127.0.0.1:1/"}), ProviderFailedError, False),
        (httpx.Response(200, text="<html>garbage</html>"), ProviderFailedError, True),
        (httpx.Response(200, json={"artifacts": []}), ProviderFailedError, True),
        (httpx.Response(200, content=b"[" * 100_000), ProviderFailedError, True),
        (httpx.Response(200, content=b"", headers={"Content-Encoding": "gzip"}), ProviderFailedError, True),
        (httpx.ReadError("reset"), ProviderFailedError, True),
        (httpx.RemoteProtocolError("cut"), ProviderFailedError, True),
        (httpx.ReadTimeout("slow"), ProviderTimeoutError, True),
    ],
)
async def test_what_goes_wrong_has_a_name_and_says_whether_to_try_again(
    wire: Wire,
    opened: Open,
    engine: EngineName,
    answer: httpx.Response | Exception,
    error: type[ProviderError],
    is_repeatable: bool,
) -> None:
    async with opened(engine) as provider:
        wire.answers = [answer]
        failed = await failure(provider)
        assert isinstance(failed, error)
        assert failed.is_repeatable == is_repeatable
        assert wire.calls == 1, "what may have been billed is not sent again here"
        assert len(await provider.draw(order())) == 1


@pytest.mark.parametrize(
    ("engine", "answer", "error"),
    [
        (V1, refusal(400, "invalid_prompts"), ContentRejectedError),
        (CORE, refusal(403, "content_moderation"), ContentRejectedError),
        (CORE, refusal(422, "public_figure"), ContentRejectedError),
        (CORE, refusal(422, "invalid_language"), PromptLanguageError),
        (CORE, refusal(422, "something_new"), ProviderFailedError),
    ],
)
async def test_what_the_prompt_is_refused_for(
    wire: Wire, opened: Open, engine: EngineName, answer: httpx.Response, error: type[ServiceError]
) -> None:
    async with opened(engine) as provider:
        for _ in range(10):
            wire.answers = [answer]
            assert isinstance(await failure(provider), error)
        provider.ensure_available()  # which the engine is


async def test_the_language_is_a_matter_of_the_field() -> None:
    error = PromptLanguageError()
    assert error.status == 422
    assert isinstance(error.details, list)
    assert [detail["field"] for detail in error.details] == ["prompt"]


@pytest.mark.parametrize("engine", BOTH)
async def test_only_what_no_one_can_have_read_is_sent_twice(wire: Wire, opened: Open, engine: EngineName) -> None:
    async with opened(engine) as provider:
        wire.answers = [httpx.ConnectError("refused")]
        assert len(await provider.draw(order())) == 1
        wire.answers = [httpx.ConnectError("refused"), httpx.ConnectTimeout("silent")]
        failed = await failure(provider)
        assert isinstance(failed, ProviderUnavailableError)
        assert failed.is_repeatable


@pytest.mark.parametrize("engine", BOTH)
async def test_an_answer_without_end_is_cut(wire: Wire, opened: Open, engine: EngineName) -> None:
    async def flood() -> AsyncIterator[bytes]:
        while True:
            yield bytes(1024 * 1024)

    async with opened(engine) as provider:
        wire.answers = [httpx.Response(200, stream=_Stream(flood()))]
        assert isinstance(await failure(provider), ProviderFailedError)
        wire.answers = [httpx.Response(500, stream=_Stream(flood()))]
        assert isinstance(await failure(provider), ProviderFailedError)


async def test_an_answer_that_drips_ends_with_its_time(wire: Wire, opened: Open) -> None:
    async def drip() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.01)

    async with opened(CORE, stability_timeout_seconds=0.3) as provider:
        wire.answers = [httpx.Response(200, stream=_Stream(drip()))]
        assert isinstance(await failure(provider), ProviderTimeoutError)


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
            await failure(provider)
        with pytest.raises(ProviderUnavailableError) as refused:
            provider.ensure_available()
        assert refused.value.headers["Retry-After"] == "1"
        assert isinstance(await failure(provider), ProviderUnavailableError)
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
            await failure(provider)
        provider.ensure_available()


async def test_the_samples_of_one_order_all_wait_for_the_probe(wire: Wire, opened: Open) -> None:
    async with opened(CORE) as provider:
        for _ in range(5):
            provider.ensure_available()
            wire.answers = [refusal(500, "internal_error")] * 3
            await failure(provider, 3)
        wire.answers = []
        async with asyncio.timeout(5):
            while not _is_available(provider):  # noqa: ASYNC110 - time is what is waited for
                await asyncio.sleep(0.05)
        assert len(await provider.draw(order(4))) == 4


@pytest.mark.parametrize("engine", BOTH)
async def test_a_short_wait_is_waited(wire: Wire, opened: Open, engine: EngineName) -> None:
    async with opened(engine) as provider:
        wire.answers = [refusal(429, "rate_limit_exceeded", Retry_After="1")]
        failed = await failure(provider)
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
        failed = await failure(provider)
        assert (failed.headers["Retry-After"], failed.code) == (heard, "provider_unavailable")
        assert not (isinstance(failed, ProviderError) and failed.is_repeatable)
        with pytest.raises(ProviderUnavailableError) as refused:
            provider.ensure_available()
        assert refused.value.headers["Retry-After"] == heard
        assert (await failure(provider)).headers["Retry-After"] == heard
        assert wire.calls == 1


async def test_it_may_be_a_date(wire: Wire, opened: Open) -> None:
    async with opened(V1) as provider:
        moment = utc_now() + timedelta(seconds=20)
        wire.answers = [refusal(429, "rate_limit_exceeded", Retry_After=format_datetime(moment, usegmt=True))]
        failed = await failure(provider)
        assert 17 <= int(failed.headers["Retry-After"]) <= 20


@pytest.mark.parametrize("told", [None, "", "soon", "-1", "²", "99999999999"])
async def test_without_one_the_order_waits_but_not_the_others(wire: Wire, opened: Open, told: str | None) -> None:
    async with opened(V1) as provider:
        headers = {} if told is None else {b"Retry-After": told.encode()}
        body = {"id": "rate_limit_exceeded", "name": "rate_limit_exceeded", "errors": ["vendor's words"]}
        wire.answers = [httpx.Response(429, json=body, headers=headers)]
        assert (await failure(provider)).headers["Retry-After"] == "60"
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
        assert isinstance(await failure(provider), TooBusyError)
        wire.open.set()
        assert len(await first) == 1
        provider.ensure_available()


def _is_available(provider: Provider) -> bool:
    try:
        provider.ensure_available()
    except ProviderUnavailableError:
        return False
    return True


class _Stream(httpx.AsyncByteStream):
    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces
