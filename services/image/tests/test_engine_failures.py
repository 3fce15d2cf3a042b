"""Whatever the engine does wrong: the coins stay with the user, and nobody is left waiting."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from common.mongo import Database
from image_service.testing import World
from image_service.testing.failing import (
    Start,
    assert_failure,
    assert_nothing_happened,
    files_in,
    generate,
)


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is tried again sooner; how often, and within which bounds, stays."""
    monkeypatch.setattr("image_service.drawing.MAX_PAUSE_SECONDS", 0.05)


def vendor_error(status: int, name: str, **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"id": "1", "name": name, "message": "vendor's words"}, headers=headers)


REQUEST = httpx.Request("POST", "http://engine.test")


ONCE, AGAIN = 1, 3
"""Calls of the engine: an order that it refuses is not sent again, one that it lost is."""


@pytest.mark.parametrize(
    ("answer", "status", "code", "calls"),
    [
        (vendor_error(401, "unauthorized"), 502, "provider_failed", ONCE),
        (vendor_error(403, "permission_denied"), 502, "provider_failed", ONCE),
        (vendor_error(404, "not_found"), 502, "provider_failed", ONCE),
        (vendor_error(400, "bad_request"), 502, "provider_failed", ONCE),
        (vendor_error(402, "payment_required"), 503, "provider_unavailable", ONCE),
        (vendor_error(400, "insufficient_balance"), 503, "provider_unavailable", ONCE),
        (vendor_error(429, "rate_limit_exceeded"), 503, "provider_unavailable", ONCE),
        (httpx.Response(302, headers={"Location": "http://127.0.0.1:1/"}), 502, "provider_failed", ONCE),
        (
            httpx.Response(403, json={"id": "1", "name": "content_moderation", "errors": ["no"]}),
            403,
            "content_rejected",
            ONCE,
        ),
        (vendor_error(500, "server_error"), 503, "provider_unavailable", AGAIN),
        (httpx.Response(503, text="<html>"), 503, "provider_unavailable", AGAIN),
        (httpx.Response(200, text="<html>garbage</html>"), 502, "provider_failed", AGAIN),
        (httpx.ReadError("reset", request=REQUEST), 502, "provider_failed", AGAIN),
        (httpx.ReadTimeout("slow", request=REQUEST), 504, "provider_timeout", AGAIN),
    ],
)
async def test_the_engine_fails(
    client: httpx.AsyncClient,
    world: World,
    database: Database,
    uploads: Path,
    answer: httpx.Response | Exception,
    status: int,
    code: str,
    calls: int,
) -> None:
    world.engine.answers.extend([answer] * calls)
    response = await generate(client, key="k", samples=2)
    assert_failure(response, status, code)
    assert "vendor" not in response.text
    await assert_nothing_happened(client, world, database, uploads)
    assert len(world.engine.orders) == calls
    assert (await generate(client, key="k", samples=2)).json()["data"]["coinsUsed"] == 20


@pytest.mark.parametrize("failures", [1, 2])
async def test_what_the_engine_loses_is_ordered_again_and_charged_once(
    client: httpx.AsyncClient, world: World, database: Database, uploads: Path, failures: int
) -> None:
    losses: list[httpx.Response | Exception] = [
        vendor_error(500, "server_error"),
        httpx.ReadError("reset", request=REQUEST),
    ]
    world.engine.answers.extend(losses[:failures])
    response = await generate(client, samples=2)
    assert response.json()["data"]["coinsUsed"] == 20
    assert (world.coin.balance, world.coin.held, len(world.engine.orders)) == (80, 0, failures + 1)
    document = await database["generations"].find_one()
    assert document is not None
    assert (document["attempts"], document["files"]) == (failures + 1, [])
    assert len(files_in(uploads)) == 4, "two pictures and their thumbnails"


async def test_an_account_that_is_gone_draws_nothing(
    client: httpx.AsyncClient, world: World, database: Database, uploads: Path
) -> None:
    world.coin.has_account = False
    assert_failure(await generate(client), 401, "invalid_token")
    await assert_nothing_happened(client, world, database, uploads)
    assert world.engine.orders == []


async def test_a_short_wait_that_the_vendor_asks_for_is_waited(client: httpx.AsyncClient, world: World) -> None:
    world.engine.answers = [vendor_error(429, "rate_limit_exceeded", **{"Retry-After": "1"})]
    assert (await generate(client)).status_code == 200
    assert len(world.engine.orders) == 2
    world.engine.answers = [vendor_error(429, "rate_limit_exceeded", **{"Retry-After": "30"})]
    refused = await generate(client)
    assert_failure(refused, 503, "provider_unavailable")
    assert refused.headers["Retry-After"] == "30"


async def test_an_engine_that_is_away_was_asked_twice(
    client: httpx.AsyncClient, world: World, database: Database, uploads: Path
) -> None:
    world.away = {"engine"}
    assert_failure(await generate(client), 503, "provider_unavailable")
    await assert_nothing_happened(client, world, database, uploads)
    world.away = set()
    world.engine.answers = [httpx.ConnectError("refused", request=REQUEST)]
    assert (await generate(client)).status_code == 200


async def test_an_engine_that_hangs(start: Start, world: World, database: Database, uploads: Path) -> None:
    async with start(stability_timeout_seconds=0.2) as client:
        world.engine.open.clear()
        assert_failure(await generate(client), 504, "provider_timeout")
        await assert_nothing_happened(client, world, database, uploads)


async def test_an_answer_that_drips(start: Start, world: World, database: Database, uploads: Path) -> None:
    async def drip() -> Any:
        while True:
            yield b" "
            await asyncio.sleep(0.01)

    async with start(stability_timeout_seconds=0.3) as client:
        world.engine.answers = [httpx.Response(200, stream=_Stream(drip())) for _ in range(AGAIN)]
        assert_failure(await generate(client), 504, "provider_timeout")
        await assert_nothing_happened(client, world, database, uploads)


async def test_an_answer_without_end(
    client: httpx.AsyncClient, world: World, database: Database, uploads: Path
) -> None:
    async def flood() -> Any:
        while True:
            yield b" " * 1024 * 1024

    world.engine.answers = [httpx.Response(200, stream=_Stream(flood())) for _ in range(AGAIN)]
    assert_failure(await generate(client), 502, "provider_failed")
    await assert_nothing_happened(client, world, database, uploads)


class _Stream(httpx.AsyncByteStream):
    def __init__(self, pieces: Any) -> None:
        self._pieces = pieces

    def __aiter__(self) -> Any:
        return self._pieces
