"""Without a key, an order that equals one under way is that one; afterwards it is another."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx

from common.mongo import Database
from common.testing import until, user_headers
from image_service.testing import World

Start = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]
FOX = {"prompt": "a red fox in the snow", "responseFormat": "url"}


async def generate(client: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    return await client.post("/api/image/generate", json=FOX | fields)


async def test_a_double_tap_is_one_order(start: Start, world: World, database: Database) -> None:
    async with start() as one, start() as two:
        world.engine.open.clear()
        taps = [asyncio.create_task(generate(client)) for client in (one, two, one, two)]
        await until(lambda: world.engine.orders)
        world.engine.open.set()
        answers = await asyncio.gather(*taps)
        assert [answer.status_code for answer in answers] == [200] * 4
        assert len({answer.text for answer in answers}) == 1
        assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 3
        assert (len(world.engine.orders), world.coin.balance) == (1, 90)
        later = await generate(one)
        assert "Idempotent-Replayed" not in later.headers
        assert later.json()["data"]["generationId"] != answers[0].json()["data"]["generationId"]
    assert (len(world.engine.orders), world.coin.balance, world.coin.held) == (2, 80, 0)


async def test_what_differs_or_has_a_key_or_is_anothers_is_not_joined(client: httpx.AsyncClient, world: World) -> None:
    world.engine.open.clear()
    keyed = client.post("/api/image/generate", json=FOX, headers={"Idempotency-Key": "k"})
    others = client.post("/api/image/generate", json=FOX, headers=user_headers("f" * 24))
    orders = [generate(client), generate(client, seed=1), keyed, others]
    tasks = [asyncio.create_task(order) for order in orders]
    await until(lambda: len(world.engine.orders) == 4)
    world.engine.open.set()
    answers = await asyncio.gather(*tasks)
    assert len({answer.json()["data"]["generationId"] for answer in answers}) == 4
    assert (world.coin.balance, world.coin.held) == (60, 0)


async def test_who_joins_an_order_that_fails_hears_why_and_may_order_anew(
    client: httpx.AsyncClient, world: World
) -> None:
    world.engine.open.clear()
    world.engine.answers = [httpx.Response(400, json={"id": "1", "name": "invalid_prompts"})]
    taps = [asyncio.create_task(generate(client)) for _ in range(3)]
    await until(lambda: world.engine.orders)
    world.engine.open.set()
    assert [(await tap).json()["code"] for tap in taps] == ["content_rejected"] * 3
    assert (await generate(client)).status_code == 200
    assert (len(world.engine.orders), world.coin.balance, world.coin.held) == (2, 90, 0)
