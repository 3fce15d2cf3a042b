"""One key is one order: at once, later, from another process, and when nobody waits any more."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx

from common.mongo import Database
from common.testing import until
from image_service.testing import World

Start = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]
FOX = {"prompt": "a red fox in the snow"}


async def generate(client: httpx.AsyncClient, key: str, **body: Any) -> httpx.Response:
    return await client.post("/api/image/generate", json=FOX | body, headers={"Idempotency-Key": key})


async def test_the_first_answer_again(client: httpx.AsyncClient, world: World) -> None:
    first = await generate(client, "k", samples=2, cfgScale=7)
    again = await generate(client, "k", samples=2, cfgScale=7)
    in_the_body = await client.post(
        "/api/image/generate", json=FOX | {"samples": 2, "cfgScale": 7, "idempotencyKey": "k"}
    )
    old_name = await generate(client, "k", samples=2, cfg_scale=7.0, steps=30)
    assert first.json() == again.json() == in_the_body.json() == old_name.json()
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (len(world.engine.orders), world.coin.balance) == (1, 80)


async def test_another_body_under_the_same_key(client: httpx.AsyncClient, world: World) -> None:
    await generate(client, "k")
    for change in ({"prompt": "a cat"}, {"samples": 2}, {"responseFormat": "url"}, {"seed": 1}):
        response = await generate(client, "k", **change)
        assert (response.status_code, response.json()["code"]) == (422, "idempotency_key_reused")
    assert (len(world.engine.orders), world.coin.balance) == (1, 90)


async def test_eight_at_once_are_one(start: Start, world: World, database: Database) -> None:
    async with start() as one, start() as two:
        responses = await asyncio.gather(*(generate(client, "k") for client in (one, two) * 4))
        assert [response.status_code for response in responses] == [200] * 8
        assert len({response.text for response in responses}) == 1
        assert sum("Idempotent-Replayed" not in response.headers for response in responses) == 1
    assert (len(world.engine.orders), world.coin.balance, world.coin.held) == (1, 90, 0)
    assert await database["generations"].count_documents({}) == 1


async def test_eight_at_once_that_cannot_pay(client: httpx.AsyncClient, world: World) -> None:
    world.coin.balance = 9
    responses = await asyncio.gather(*(generate(client, "k") for _ in range(8)))
    assert {response.status_code for response in responses} == {402}
    assert (world.coin.balance, world.coin.held) == (9, 0)


async def test_a_client_that_hangs_up_finds_its_pictures(client: httpx.AsyncClient, world: World) -> None:
    world.engine.open.clear()
    phone = asyncio.create_task(generate(client, "k"))
    await until(lambda: world.engine.orders)
    phone.cancel()
    await asyncio.gather(phone, return_exceptions=True)
    assert world.coin.held == 10
    world.engine.open.set()
    await until(lambda: world.coin.captured)

    response = await generate(client, "k")
    assert response.status_code == 200
    assert response.headers["Idempotent-Replayed"] == "true"
    history = (await client.get("/api/image/history")).json()["data"]["images"]
    assert [image["id"] for image in history] == [image["id"] for image in response.json()["data"]["images"]]
    assert (len(world.engine.orders), world.coin.balance, world.coin.held) == (1, 90, 0)


async def test_a_repeat_waits_for_the_first_in_another_process(start: Start, world: World, database: Database) -> None:
    async with start() as one, start() as two:
        world.engine.open.clear()
        first = asyncio.create_task(generate(one, "k"))
        await until(lambda: world.engine.orders)
        repeat = asyncio.create_task(generate(two, "k"))
        other_body = await generate(two, "k", prompt="a cat")
        assert other_body.status_code == 422
        assert not repeat.done()
        world.engine.open.set()
        assert (await first).json() == (await repeat).json()
    assert len(world.engine.orders) == 1


async def test_a_stopping_process_finishes_its_pictures(start: Start, world: World, database: Database) -> None:
    world.engine.open.clear()
    async with start() as client:
        phone = asyncio.create_task(generate(client, "k"))
        await until(lambda: world.engine.orders)
        asyncio.get_running_loop().call_later(0.3, world.engine.open.set)
    assert (world.coin.balance, world.coin.held) == (90, 0)
    await phone  # a real server lets it go before the service stops, so what it was told is not the matter here
    async with start() as client:
        again = await generate(client, "k")
    assert again.status_code == 200
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(world.engine.orders) == 1


async def test_deleted_pictures_do_not_come_back(client: httpx.AsyncClient, world: World) -> None:
    first = (await generate(client, "k", samples=2)).json()["data"]
    gone, kept = first["images"]
    await client.delete(f"/api/image/{gone['id']}")
    again = (await generate(client, "k", samples=2)).json()["data"]
    assert again["images"] == [kept]
    assert again["coinsUsed"] == 20
    assert (len(world.engine.orders), world.coin.balance) == (1, 80)
