"""What a subscription covers: every picture up to the day's number, counted exactly; then coins."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

import httpx
import pytest

from common.clock import format_timestamp, utc_now
from common.mongo import Database
from image_service.store.covers import QuotaStore
from image_service.testing import World

Start = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


async def generate(client: httpx.AsyncClient, *, key: str | None = None, **body: Any) -> dict[str, Any]:
    headers = {"Idempotency-Key": key} if key else {}
    order = {"prompt": "a red fox", "responseFormat": "url"} | body
    response = await client.post("/api/image/generate", json=order, headers=headers)
    assert response.status_code == 200, response.text
    data: dict[str, Any] = response.json()["data"]
    return data


@pytest.fixture
def subscriber(world: World) -> World:
    world.subscription.active = True
    world.subscription.until = format_timestamp(utc_now() + timedelta(days=30))
    return world


async def test_covered_pictures_cost_nothing(client: httpx.AsyncClient, subscriber: World) -> None:
    data = await generate(client, samples=3)
    assert (data["coinsUsed"], data["remainingCoins"], len(data["images"])) == (0, 100, 3)
    history = (await client.get("/api/image/history")).json()["data"]["images"]
    assert [image["coinsUsed"] for image in history] == [0, 0, 0]
    assert (subscriber.coin.balance, subscriber.coin.held, subscriber.coin.captured) == (100, 0, {})


async def test_a_subscription_that_has_ended_covers_nothing(client: httpx.AsyncClient, subscriber: World) -> None:
    subscriber.subscription.until = format_timestamp(utc_now() - timedelta(seconds=1))
    assert (await generate(client))["coinsUsed"] == 10


async def test_after_the_days_number_it_is_coins(start: Start, subscriber: World, database: Database) -> None:
    async with start(subscription_daily_images=3) as client:
        used = [(await generate(client, samples=samples))["coinsUsed"] for samples in (2, 2, 1, 1)]
    # An order is covered whole or not at all.
    assert used == [0, 20, 0, 10]


async def test_the_days_number_is_exact_for_many_at_once(start: Start, subscriber: World, database: Database) -> None:
    async with start(subscription_daily_images=5) as one, start(subscription_daily_images=5) as two:
        answers = await asyncio.gather(*(generate(client, key=str(n)) for n, client in enumerate((one, two) * 6)))
    assert sorted(answer["coinsUsed"] for answer in answers) == [0] * 5 + [10] * 7
    assert (subscriber.coin.balance, subscriber.coin.held) == (30, 0)


async def test_what_was_not_delivered_is_not_counted(start: Start, subscriber: World, database: Database) -> None:
    async with start(subscription_daily_images=4) as client:
        subscriber.engine.answers = [httpx.Response(401)]
        failed = await client.post("/api/image/generate", json={"prompt": "a fox", "samples": 4})
        assert failed.status_code == 502
        subscriber.engine.reasons = ["CONTENT_FILTERED"] * 3
        assert len((await generate(client, samples=4))["images"]) == 1
        subscriber.engine.reasons = []
        assert (await generate(client, samples=3))["coinsUsed"] == 0
        assert (await generate(client))["coinsUsed"] == 10
    quota = await database["quotas"].find_one()
    assert quota is not None
    assert (quota["used"], set(quota["reserved"].values())) == (4, {0})


async def test_a_repeat_is_counted_once(start: Start, subscriber: World, database: Database) -> None:
    async with start(subscription_daily_images=2) as client:
        assert await generate(client, key="k") == await generate(client, key="k")
        assert (await generate(client))["coinsUsed"] == 0
        assert (await generate(client))["coinsUsed"] == 10


@pytest.mark.parametrize("away", [True, False])
async def test_the_last_known_cover_holds_while_nobody_can_tell(
    start: Start, subscriber: World, database: Database, away: bool
) -> None:
    async with start() as client:
        await generate(client)
    if away:
        subscriber.away = {"subscription"}
    else:
        subscriber.subscription.status = 500
    async with start() as client:  # another process: it is remembered in the database
        assert (await generate(client))["coinsUsed"] == 0
        ended = utc_now() - timedelta(seconds=1)
        await database["entitlements"].update_many({}, {"$set": {"until": ended}})
        assert (await generate(client))["coinsUsed"] == 10


async def test_a_revoked_cover_is_forgotten(client: httpx.AsyncClient, subscriber: World) -> None:
    await generate(client)
    subscriber.subscription.active = False
    assert (await generate(client))["coinsUsed"] == 10
    subscriber.subscription.status = 500
    assert (await generate(client))["coinsUsed"] == 10


async def test_what_is_covered_does_not_wait_for_the_coin_service(client: httpx.AsyncClient, subscriber: World) -> None:
    subscriber.away = {"coin"}
    data = await generate(client)
    assert (data["coinsUsed"], data["remainingCoins"]) == (0, None)


DAY, ONE, TWO = "2025-07-01", "1" * 24, "2" * 24


async def test_a_reservation_is_made_and_settled_once(database: Database, user_id: str) -> None:
    quotas = QuotaStore(database)
    assert await quotas.reserve(user_id, DAY, ONE, 3, limit=5)
    assert await quotas.reserve(user_id, DAY, ONE, 3, limit=5), "again is the same"
    assert not await quotas.reserve(user_id, DAY, TWO, 3, limit=5)
    for _ in range(3):
        await quotas.settle(user_id, DAY, ONE, delivered=1)
    assert await quotas.reserve(user_id, DAY, TWO, 4, limit=5)
    assert not await quotas.reserve(user_id, "2025-07-02", TWO, 6, limit=5)


@pytest.mark.parametrize("delivered", [0, 1])
async def test_a_reservation_that_comes_late_is_refused(database: Database, user_id: str, delivered: int) -> None:
    quotas = QuotaStore(database)
    if delivered:
        assert await quotas.reserve(user_id, DAY, ONE, 3, limit=5)
    await quotas.settle(user_id, DAY, ONE, delivered=delivered)
    assert not await quotas.reserve(user_id, DAY, ONE, 3, limit=5)
    assert not await quotas.find_reserved(user_id, DAY, ONE)
    assert await quotas.reserve(user_id, DAY, TWO, 5 - delivered, limit=5)


async def test_reservations_settled_while_they_are_made_leave_nothing(database: Database, user_id: str) -> None:
    quotas = QuotaStore(database)
    ids = [f"{n:024x}" for n in range(12)]
    await asyncio.gather(
        *(quotas.reserve(user_id, DAY, generation_id, 2, limit=9) for generation_id in ids * 2),
        *(quotas.settle(user_id, DAY, generation_id, delivered=0) for generation_id in ids * 2),
    )
    assert await quotas.reserve(user_id, DAY, ONE, 9, limit=9), "all are settled, so that the whole day is left"
