"""Whatever fails around the engine: the coins stay with the user, and nobody is left waiting."""

import asyncio
from pathlib import Path

import httpx
import pytest

from common.clients.coin import HoldNotFoundError, HoldResolvedError
from common.mongo import Database
from common.testing import until
from image_service.testing import World, artifact, draw_png
from image_service.testing.failing import (
    Start,
    assert_failure,
    assert_nothing_happened,
    generate,
    put_a_file_in_its_place,
    put_back,
)


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
