"""What a dead process left behind goes on in another one, from wherever it stood: no order, coin or picture is lost."""

import asyncio
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from common.clock import format_timestamp, utc_now
from common.mongo import Database
from common.testing import until
from image_service.files import PictureFiles, new_files
from image_service.models import State, coin_key_of
from image_service.providers import DrawnPicture
from image_service.storage.local import LocalStorage
from image_service.store.covers import QuotaStore
from image_service.store.generations import GenerationStore
from image_service.testing import World, draw_png, leave_behind, until_ended

Start = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]
SOON = {"recovery_interval_seconds": 0.05}


@pytest.mark.parametrize("state", ["accepted", "reserved", "drawing"])
@pytest.mark.parametrize("is_held", [True, False])
async def test_undecided_is_drawn_and_charged_once(
    start: Start, world: World, database: Database, user_id: str, state: State, is_held: bool
) -> None:
    generation = await leave_behind(database, user_id, state=state, attempts=int(state == "drawing"))
    if is_held or state != "accepted":
        await world.coin.client().hold(user_id, 20, key=generation.coin_key)
    async with start(**SOON) as client:
        document = await until_ended(database, generation.id)
        assert (document["state"], document["coins_used"]) == ("succeeded", 20)
        assert (world.coin.balance, world.coin.held, list(world.coin.captured.values())) == (80, 0, [20])
        assert document["attempts"] == (2 if state == "drawing" else 1)
        assert len(world.engine.orders) == 1
        history = (await client.get("/api/image/history")).json()["data"]["images"]
        assert len(history) == 2
        again = await client.post(
            "/api/image/generate", json={"prompt": "a red fox", "samples": 2}, headers={"Idempotency-Key": "k"}
        )
        assert again.status_code == 422, "the key is the order's, whose fingerprint is another one"


async def test_given_up_is_given_back(start: Start, world: World, database: Database, user_id: str) -> None:
    generation = await leave_behind(database, user_id, state="voiding")
    await world.coin.client().hold(user_id, 20, key=generation.coin_key)
    async with start(**SOON) as client:
        assert (await until_ended(database, generation.id))["state"] == "failed"
        assert (world.coin.balance, world.coin.held, world.coin.captured) == (100, 0, {})
        assert world.engine.orders == []
        headers = {"Idempotency-Key": "k"}
        again = await client.post("/api/image/generate", json={"prompt": "a red fox"}, headers=headers)
        assert again.status_code == 200, "the key is free again"


@pytest.mark.parametrize("spent", ["attempts", "time"])
@pytest.mark.parametrize("state", ["reserved", "drawing"])
async def test_nothing_is_drawn_when_attempts_or_time_are_spent(
    start: Start, world: World, database: Database, uploads: Path, user_id: str, state: State, spent: str
) -> None:
    names = [*new_files("0" * 24, 1)]
    generation = await leave_behind(
        database,
        user_id,
        state=state,
        attempts=3 if spent == "attempts" else 1,
        created_at=utc_now() - timedelta(seconds=301 if spent == "time" else 0),
        files=names,
    )
    storage = LocalStorage(uploads, public_url="http://localhost:5000")
    await storage.prepare()
    await storage.put(names[0], b"late")
    await world.coin.client().hold(user_id, 20, key=generation.coin_key)
    async with start(**SOON):
        document = await until_ended(database, generation.id)
    assert (document["state"], document["coins_used"]) == ("failed", 0)
    assert (world.coin.balance, world.coin.held, world.engine.orders) == (100, 0, [])
    assert await storage.find(names[0]) is None


async def test_coins_of_who_has_no_time_left_do_not_wait_for_a_place(
    start: Start, world: World, database: Database, user_id: str
) -> None:
    world.coin.balance = 1000
    world.engine.open.clear()
    async with start(max_concurrent_generations=1, max_waiting_generations=0, **SOON) as client:
        drawing = asyncio.create_task(client.post("/api/image/generate", json={"prompt": "a cat"}))
        await until(lambda: world.engine.orders)
        await world.coin.client().hold(user_id, 20, key=coin_key_of("a" * 24))
        past = utc_now() - timedelta(seconds=301)
        late = await leave_behind(database, user_id, id="a" * 24, state="reserved", key="late", created_at=past)
        young = await leave_behind(database, user_id, state="reserved", key="young")
        assert (await until_ended(database, late.id, seconds=5))["state"] == "failed"
        assert (world.coin.balance, world.coin.held) == (990, 10)
        assert await database["generations"].count_documents({"_id": young.id, "lease.n": 1}) == 1
        world.engine.open.set()
        assert (await drawing).status_code == 200
        assert (await until_ended(database, young.id))["state"] == "failed", "whose coins were never set aside"


@pytest.mark.parametrize("is_captured", [True, False])
async def test_stored_is_charged_once_and_shown(
    start: Start, world: World, database: Database, uploads: Path, user_id: str, is_captured: bool
) -> None:
    storage = LocalStorage(uploads, public_url="http://localhost:5000")
    await storage.prepare()
    generation = await leave_behind(database, user_id, state="drawing")
    names = new_files(generation.id, 1)
    pictures = await PictureFiles(storage).store(names, [DrawnPicture(draw_png(), 5, 1024, 1024)], {})
    await world.coin.client().hold(user_id, 20, key=generation.coin_key)
    store = GenerationStore(database, owner="dead", lease_seconds=-1)
    assert await store.move(generation, "stored", pictures=pictures, stored_at=utc_now())
    if is_captured:
        await world.coin.client().capture(user_id, 10, key=generation.coin_key)
    async with start(**SOON) as client:
        document = await until_ended(database, generation.id)
        assert (document["state"], document["coins_used"], document["remaining_coins"]) == ("succeeded", 10, 90)
        assert (world.coin.balance, world.coin.held, world.engine.orders) == (90, 0, [])
        image = (await client.get("/api/image/history")).json()["data"]["images"][0]
        assert (image["id"], image["seed"], image["coinsUsed"]) == (pictures[0].image_id, 5, 10)
        served = await client.get(image["imageUrl"].removeprefix("http://localhost:5000"))
        assert len(served.content) == pictures[0].size_bytes


async def test_records_from_before_leases_were_numbered(
    start: Start, world: World, database: Database, user_id: str
) -> None:
    generation = await leave_behind(database, user_id, state="drawing")
    new = {"lease.n": "", "version": "", "joins": "", "drawn": ""}
    await database["generations"].update_one({"_id": generation.id}, {"$unset": new})
    await world.coin.client().hold(user_id, 20, key=generation.coin_key)
    async with start(**SOON):
        assert (await until_ended(database, generation.id))["state"] == "succeeded"
    assert (world.coin.balance, world.coin.held) == (80, 0)


@pytest.mark.parametrize("is_reserved", [True, False])
async def test_a_price_is_not_set_aside_twice_when_the_cover_changes(
    start: Start, world: World, database: Database, user_id: str, is_reserved: bool
) -> None:
    generation = await leave_behind(database, user_id, state="accepted")
    quotas, day = QuotaStore(database), generation.created_at.date().isoformat()
    if is_reserved:  # covered before; now the subscription covers nothing any more
        assert await quotas.reserve(user_id, day, generation.id, 2, limit=200)
    else:  # coins were held before; now a subscription covers it
        await world.coin.client().hold(user_id, 20, key=generation.coin_key)
        world.subscription.active = True
        world.subscription.until = format_timestamp(utc_now() + timedelta(days=1))
    async with start(**SOON):
        document = await until_ended(database, generation.id)
    assert (document["state"], document["cover"], document["coins_used"]) == ("succeeded", "subscription", 0)
    assert (world.coin.balance, world.coin.held, world.coin.captured) == (100, 0, {})
    assert await quotas.count(user_id, day) == 2


async def test_who_lives_is_left_alone(start: Start, world: World, database: Database, user_id: str) -> None:
    living = await leave_behind(database, user_id, state="drawing", stale=False)
    hurry = {"recovery_interval_seconds": 0.05, "lease_seconds": 2}
    async with start(**hurry) as client, start(**hurry):  # nobody takes over what is its own, but the other would
        world.engine.open.clear()
        drawing = asyncio.create_task(client.post("/api/image/generate", json={"prompt": "a cat"}))
        renewals: list[datetime] = []
        async with asyncio.timeout(30):
            # Renewed after the end of the lease with which it began: long enough for the other to have come by.
            while not renewals or renewals[-1] - renewals[0] < timedelta(seconds=hurry["lease_seconds"]):
                await asyncio.sleep(0.05)
                own = await database["generations"].find_one({"state": "drawing", "_id": {"$ne": living.id}})
                renewals += [own["lease"]["until"]] if own is not None else []
        world.engine.open.set()
        assert (await drawing).status_code == 200
        assert len(world.engine.orders) == 1
        document = await database["generations"].find_one({"_id": living.id})
        assert document is not None
        assert (document["state"], document["open"]) == ("drawing", True)


async def test_nobody_gives_up_what_it_draws_itself(start: Start, world: World, database: Database) -> None:
    async with start(**SOON) as client:
        world.engine.open.clear()
        drawing = asyncio.create_task(client.post("/api/image/generate", json={"prompt": "a cat"}))
        # As after a time without the database, in which no lease could be renewed.
        past = {"$set": {"lease.until": utc_now() - timedelta(seconds=1)}}
        for _ in range(50):
            await asyncio.sleep(0.02)
            await database["generations"].update_many({"state": "drawing"}, past)
        world.engine.open.set()
        assert (await drawing).status_code == 200
        assert len(world.engine.orders) == 1


@pytest.mark.parametrize("minutes", [-60, 4])
async def test_leases_do_not_go_by_the_processes_clocks(
    start: Start, world: World, database: Database, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    def wrong() -> datetime:
        return utc_now() + timedelta(minutes=minutes)

    living = await leave_behind(database, "1" * 24, state="drawing", stale=False)
    dead = await leave_behind(database, "2" * 24, state="drawing")
    await world.coin.client().hold("2" * 24, 20, key=dead.coin_key)
    for name, module in list(sys.modules.items()):
        if name.startswith("image_service.") and hasattr(module, "utc_now"):
            monkeypatch.setattr(module, "utc_now", wrong)
    async with start(**SOON) as client:
        assert (await client.post("/api/image/generate", json={"prompt": "a cat"})).status_code == 200
        assert (await until_ended(database, dead.id))["state"] == "succeeded"
    document = await database["generations"].find_one({"_id": living.id})
    assert document is not None
    assert (document["state"], document["open"]) == ("drawing", True)


async def test_two_processes_take_over_many_and_end_each_once(
    start: Start, world: World, database: Database, user_id: str
) -> None:
    world.coin.balance = 1000
    left = []
    for n in range(30):
        generation = await leave_behind(database, user_id, state="drawing", key=f"k{n}")
        await world.coin.client().hold(user_id, 20, key=generation.coin_key)
        left.append(generation)
    world.engine.open.clear()
    hurry: dict[str, Any] = {"max_concurrent_generations": 2, "max_waiting_generations": 4, **SOON}
    async with start(**hurry), start(**hurry):
        await until(lambda: len(world.engine.orders) >= 4)
        async with asyncio.timeout(30):
            # Every place of both is taken: two at the engine and four in the line.
            taken = 0
            while taken < 12:
                await asyncio.sleep(0.05)
                taken = await database["generations"].count_documents({"lease.owner": {"$ne": "dead"}})
        assert len(world.engine.orders) == 4, "each process keeps to its own places"
        world.engine.open.set()
        states = {(await until_ended(database, generation.id, seconds=60))["state"] for generation in left}
    assert states == {"succeeded"}
    assert (world.coin.balance, world.coin.held, len(world.coin.captured)) == (400, 0, 30)
    assert len(world.engine.orders) == 30
