"""Stability's refusals and failures on the wire, of both generations: what they are called."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from common.errors import ServiceError
from image_service.errors import (
    ContentRejectedError,
    PromptLanguageError,
    ProviderError,
    ProviderFailedError,
    ProviderTimeoutError,
    ProviderUnavailableError,
)
from image_service.settings import EngineName
from image_service.testing.wire import BOTH, CORE, V1, Open, Pieces, Wire, draw_failing, opened_at, order, refusal


@pytest.fixture
async def wire() -> Wire:
    return Wire()


@pytest.fixture
def opened(wire: Wire) -> Open:
    return opened_at(wire)


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
        failed = await draw_failing(provider)
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
            assert isinstance(await draw_failing(provider), error)
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
        failed = await draw_failing(provider)
        assert isinstance(failed, ProviderUnavailableError)
        assert failed.is_repeatable


@pytest.mark.parametrize("engine", BOTH)
async def test_an_answer_without_end_is_cut(wire: Wire, opened: Open, engine: EngineName) -> None:
    async def flood() -> AsyncIterator[bytes]:
        while True:
            yield bytes(1024 * 1024)

    async with opened(engine) as provider:
        wire.answers = [httpx.Response(200, stream=Pieces(flood()))]
        assert isinstance(await draw_failing(provider), ProviderFailedError)
        wire.answers = [httpx.Response(500, stream=Pieces(flood()))]
        assert isinstance(await draw_failing(provider), ProviderFailedError)


async def test_an_answer_that_drips_ends_with_its_time(wire: Wire, opened: Open) -> None:
    async def drip() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.01)

    async with opened(CORE, stability_timeout_seconds=0.3) as provider:
        wire.answers = [httpx.Response(200, stream=Pieces(drip()))]
        assert isinstance(await draw_failing(provider), ProviderTimeoutError)
