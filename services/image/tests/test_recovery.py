"""What a dead process left behind is ended by the next one: charged if it was stored, else given back."""

import asyncio
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from common.clock import utc_now
from common.mongo import Database, new_id
from image_service.files import PictureFiles, new_files
from image_service.models import Generation, Order, State
from image_service.png import checked
from image_service.providers import DrawnPicture
from image_service.storage.local import LocalStorage
from image_service.store.generations import GenerationStore
from image_service.testing import World, draw_png

Start = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]
ORDER = Order(
    prompt="a red fox",
    negative_prompt=None,
    style_preset=None,
    width=1024,
    height=1024,
    samples=2,
    steps=30,
    cfg_scale=7,
    seed=None,
)


async def leave_behind(database: Database, user_id: str, state: State, *, stale: bool = True) -> Generation:
    """Write the record of a process that died in ``state``."""
    store = GenerationStore(database, owner="dead", lease_seconds=-1 if stale else 30)
    await store.ensure_indexes()
    generation = Generation(
        id=new_id(),
        user_id=user_id,
        key="k",
        holds_key=state != "voiding",
        fingerprint="f",
        order=ORDER,
        coins_per_image=10,
        state=state,
        open=True,
        cover=None if state == "accepted" else "coins",
        created_at=utc_now(),
    )
    assert await store.add(generation)
    return generation


async def until_ended(database: Database, generation_id: str) -> dict[str, Any]:
    deadline = asyncio.get_running_loop().time() + 10
    while True:
        document = await database["generations"].find_one({"_id": generation_id})
        assert document is not None
        if not document["open"]:
            return document
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("state", ["accepted", "drawing", "voiding"])
@pytest.mark.parametrize("is_held", [True, False])
async def test_undecided_or_given_up_is_given_back(
    start: Start, world: World, database: Database, user_id: str, state: State, is_held: bool
) -> None:
    generation = await leave_behind(database, user_id, state)
    if is_held:
        await world.coin.client().hold(user_id, 20, key=generation.coin_key)
    async with start(recovery_interval_seconds=0.1) as client:
        assert (await until_ended(database, generation.id))["state"] == "failed"
        assert (world.coin.balance, world.coin.held, world.coin.captured) == (100, 0, {})
        assert world.engine.orders == []
        headers = {"Idempotency-Key": "k"}
        again = await client.post("/api/image/generate", json={"prompt": "a red fox"}, headers=headers)
        assert again.status_code == 200, "the key is free again"


@pytest.mark.parametrize("is_captured", [True, False])
async def test_stored_is_charged_once_and_shown(
    start: Start, world: World, database: Database, uploads: Path, user_id: str, is_captured: bool
) -> None:
    storage = LocalStorage(uploads, public_url="http://localhost:5000")
    await storage.prepare()
    names = new_files(new_id(), 2)
    pictures = await PictureFiles(storage).store(names, [DrawnPicture.of(checked(draw_png()), 5)], {})
    generation = await leave_behind(database, user_id, "drawing")
    await world.coin.client().hold(user_id, 20, key=generation.coin_key)
    store = GenerationStore(database, owner="dead", lease_seconds=-1)
    assert await store.move(generation.id, ("drawing",), "stored", pictures=pictures, stored_at=utc_now())
    if is_captured:
        await world.coin.client().capture(user_id, 10, key=generation.coin_key)
    async with start(recovery_interval_seconds=0.1) as client:
        document = await until_ended(database, generation.id)
        assert (document["state"], document["coins_used"], document["remaining_coins"]) == ("succeeded", 10, 90)
        assert (world.coin.balance, world.coin.held) == (90, 0)
        image = (await client.get("/api/image/history")).json()["data"]["images"][0]
        assert (image["id"], image["seed"], image["coinsUsed"]) == (pictures[0].image_id, 5, 10)
        served = await client.get(image["imageUrl"].removeprefix("http://localhost:5000"))
        assert len(served.content) == pictures[0].size_bytes


async def test_who_lives_is_left_alone(start: Start, world: World, database: Database, user_id: str) -> None:
    living = await leave_behind(database, user_id, "drawing", stale=False)
    async with start(recovery_interval_seconds=0.05, lease_seconds=1) as client:
        world.engine.open.clear()
        drawing = asyncio.create_task(client.post("/api/image/generate", json={"prompt": "a cat"}))
        await asyncio.sleep(1.5)  # longer than the lease of this one, which is renewed meanwhile
        world.engine.open.set()
        assert (await drawing).status_code == 200
        document = await database["generations"].find_one({"_id": living.id})
        assert document is not None
        assert (document["state"], document["open"]) == ("drawing", True)


async def test_nobody_gives_up_what_it_draws_itself(start: Start, world: World, database: Database) -> None:
    async with start(recovery_interval_seconds=0.05) as client:
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


@pytest.mark.parametrize("hours", [-1, 1])
async def test_leases_do_not_go_by_the_processes_clocks(
    start: Start, world: World, database: Database, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    def wrong() -> datetime:
        return utc_now() + timedelta(hours=hours)

    living = await leave_behind(database, "1" * 24, "drawing", stale=False)
    dead = await leave_behind(database, "2" * 24, "drawing")
    for name, module in list(sys.modules.items()):
        if name.startswith("image_service.") and hasattr(module, "utc_now"):
            monkeypatch.setattr(module, "utc_now", wrong)
    async with start(recovery_interval_seconds=0.05) as client:
        assert (await client.post("/api/image/generate", json={"prompt": "a cat"})).status_code == 200
        assert (await until_ended(database, dead.id))["state"] == "failed"
    document = await database["generations"].find_one({"_id": living.id})
    assert document is not None
    assert (document["state"], document["open"]) == ("drawing", True)


async def test_two_processes_end_many_generations_once(
    start: Start, world: World, database: Database, user_id: str
) -> None:
    world.coin.balance = 1000
    left = []
    for _ in range(20):
        generation = await leave_behind(database, user_id, "drawing")
        await database["generations"].update_one({"_id": generation.id}, {"$set": {"holds_key": False}})
        await world.coin.client().hold(user_id, 20, key=generation.coin_key)
        left.append(generation)
    async with start(recovery_interval_seconds=0.05), start(recovery_interval_seconds=0.05):
        for generation in left:
            assert (await until_ended(database, generation.id))["state"] == "failed"
    assert (world.coin.balance, world.coin.held) == (1000, 0)


async def test_a_decision_is_made_once(database: Database, user_id: str) -> None:
    generation = await leave_behind(database, user_id, "drawing")
    store = GenerationStore(database, owner="one", lease_seconds=30)
    charged, given_up = await asyncio.gather(
        store.move(generation.id, ("drawing",), "stored"),
        store.move(generation.id, ("accepted", "drawing"), "voiding", holds_key=False),
    )
    assert (charged is None) != (given_up is None)
    decided = await store.get(generation.id)
    assert decided.state == ("stored" if charged else "voiding")
