"""Whatever fails, wherever: the coins stay with the user, and nobody is left waiting."""

import asyncio
import shutil
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from common.clients.coin import HoldNotFoundError, HoldResolvedError
from common.mongo import Database
from common.testing import until
from image_service.testing import World, artifact, draw_png

Start = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]
FOX = {"prompt": "a red fox in the snow", "responseFormat": "url"}


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is tried again sooner; how often, and within which bounds, stays."""
    monkeypatch.setattr("image_service.drawing.MAX_PAUSE_SECONDS", 0.05)


async def generate(client: httpx.AsyncClient, *, key: str | None = None, **body: Any) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return await client.post("/api/image/generate", json=FOX | body, headers=headers)


def assert_failure(response: httpx.Response, status: int, code: str) -> None:
    body = response.json()
    assert (response.status_code, body["code"]) == (status, code)
    assert isinstance(body["message"], str)
    if status == 503:
        assert int(response.headers["Retry-After"]) > 0


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def put_a_file_in_its_place(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("not a folder")


def put_back(folder: Path) -> None:
    folder.unlink()
    folder.mkdir()


async def assert_nothing_happened(client: httpx.AsyncClient, world: World, database: Database, uploads: Path) -> None:
    assert (world.coin.balance, world.coin.held, world.coin.captured) == (100, 0, {})
    assert (await client.get("/api/image/history")).json()["data"]["images"] == []
    assert await database["generations"].count_documents({"open": True}) == 0
    assert files_in(uploads) == []


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


async def test_the_storage_fails(client: httpx.AsyncClient, world: World, database: Database, uploads: Path) -> None:
    put_a_file_in_its_place(uploads)
    assert_failure(await generate(client, key="k", samples=3), 503, "storage_unavailable")
    await assert_nothing_happened(client, world, database, uploads)
    put_back(uploads)
    assert (await generate(client, key="k", samples=3)).status_code == 200


async def test_the_coin_service_is_away(
    client: httpx.AsyncClient, world: World, database: Database, uploads: Path
) -> None:
    world.away = {"coin"}
    response = await generate(client, key="k")
    assert_failure(response, 503, "service_unavailable")
    assert world.engine.orders == [], "nothing is drawn that cannot be paid"
    world.away = set()
    # The giving back is repeated until it is heard: the hold might have arrived.
    deadline = asyncio.get_running_loop().time() + 15
    while await database["generations"].count_documents({"open": True}):
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.05)
    await assert_nothing_happened(client, world, database, uploads)
    assert (await generate(client, key="k")).status_code == 200


async def test_pictures_are_not_delivered_before_they_are_paid(start: Start, world: World, database: Database) -> None:
    async with start(recovery_interval_seconds=0.1) as client:

        async def draw_and_cut_the_line(_: httpx.Request) -> httpx.Response:
            world.away = {"coin"}
            return httpx.Response(200, json={"artifacts": [artifact(draw_png(), seed=3)]})

        world.engine.answers = [draw_and_cut_the_line]
        assert_failure(await generate(client, key="k"), 503, "charge_pending")
        assert (world.coin.balance, world.coin.held) == (90, 10)
        assert (await client.get("/api/image/history")).json()["data"]["images"] == []

        world.away = set()
        await until(lambda: world.coin.held == 0)
        response = await generate(client, key="k")
        assert response.headers["Idempotent-Replayed"] == "true"
        assert response.json()["data"]["remainingCoins"] == 90
        assert (world.coin.balance, len(world.engine.orders)) == (90, 1)
        history = (await client.get("/api/image/history")).json()["data"]["images"]
        assert [image["id"] for image in history] == [response.json()["data"]["images"][0]["id"]]


@pytest.mark.parametrize("fault", [500, 502, 503, 504])
async def test_a_short_fault_of_the_coin_service_is_not_noticed(
    client: httpx.AsyncClient, world: World, fault: int
) -> None:
    async def draw_then_fail(_: httpx.Request) -> httpx.Response:
        world.coin.fail_next = [fault, fault]
        return httpx.Response(200, json={"artifacts": [artifact(draw_png(), seed=3)]})

    world.engine.answers = [draw_then_fail]
    assert (await generate(client)).json()["data"]["remainingCoins"] == 90
    assert (world.coin.balance, world.coin.held) == (90, 0)


async def test_coins_that_somebody_else_gave_back_buy_nothing(
    client: httpx.AsyncClient, world: World, database: Database, uploads: Path
) -> None:
    async def draw_while_an_operator_voids(_: httpx.Request) -> httpx.Response:
        document = await database["generations"].find_one()
        assert document is not None
        await world.coin.client().void(document["user_id"], key=f"generation:{document['_id']}")
        return httpx.Response(200, json={"artifacts": [artifact(draw_png(), seed=3)]})

    world.engine.answers = [draw_while_an_operator_voids]
    assert_failure(await generate(client, key="k"), 503, "generation_failed")
    await assert_nothing_happened(client, world, database, uploads)
    assert (await generate(client, key="k")).status_code == 200


async def test_coins_given_back_before_they_were_set_aside_draw_nothing(
    client: httpx.AsyncClient, world: World, database: Database, uploads: Path
) -> None:
    world.coin.fail_next = [HoldResolvedError()]  # by a process that took this one for dead
    assert_failure(await generate(client, key="k"), 503, "generation_failed")
    await assert_nothing_happened(client, world, database, uploads)
    assert world.engine.orders == []


async def test_no_hold_stays_open_when_the_coin_service_does_not_find_it(
    client: httpx.AsyncClient, world: World, database: Database, uploads: Path
) -> None:
    async def draw_then_forget(_: httpx.Request) -> httpx.Response:
        world.coin.fail_next = [HoldNotFoundError()]  # as a database may answer just after a failover
        return httpx.Response(200, json={"artifacts": [artifact(draw_png(), seed=3)]})

    world.engine.answers = [draw_then_forget]
    assert_failure(await generate(client, key="k"), 503, "generation_failed")
    await assert_nothing_happened(client, world, database, uploads)
    assert (await generate(client, key="k")).status_code == 200


async def test_the_line_is_bounded(start: Start, world: World, database: Database) -> None:
    async with start(max_concurrent_generations=1, max_waiting_generations=1, max_wait_seconds=0.3) as client:
        world.engine.open.clear()
        tasks = {asyncio.create_task(generate(client, key=key)) for key in ("1", "2")}
        await until(lambda: world.engine.orders and world.coin.held == 20)
        assert_failure(await generate(client, key="3"), 503, "too_busy")  # no place in the line
        refused, drawing = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        assert_failure(await refused.pop(), 503, "too_busy")  # its turn never came
        world.engine.open.set()
        assert (await drawing.pop()).status_code == 200
        assert (world.coin.balance, world.coin.held, len(world.engine.orders)) == (90, 0, 1)


async def test_one_user_cannot_take_all_places(start: Start, world: World) -> None:
    async with start(max_generations_per_user=2) as client:
        world.engine.open.clear()
        tasks = [asyncio.create_task(generate(client, key=key)) for key in ("1", "2")]
        await until(lambda: len(world.engine.orders) == 2)
        refused = await generate(client, key="3")
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_generations")
        assert int(refused.headers["Retry-After"]) > 0
        world.engine.open.set()
        assert [(await task).status_code for task in tasks] == [200, 200]
        assert (await generate(client)).status_code == 200
