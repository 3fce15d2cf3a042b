"""A process that is told to stop takes nothing new, and leaves what it cannot finish to others at once."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager

import httpx
import pytest

from common.mongo import Database
from common.testing import until
from image_service.models import Generation
from image_service.places import Places
from image_service.run import Run
from image_service.runner import Finished, GenerationRunner
from image_service.store.generations import GenerationStore
from image_service.tasks import GenerationTasks
from image_service.testing import World, leave_behind, until_ended

Start = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]
FOX = {"prompt": "a red fox in the snow", "responseFormat": "url"}
KEY = {"Idempotency-Key": "k"}


@pytest.fixture(autouse=True)
def told() -> Iterator[list[int]]:
    """What a server's own handler of SIGTERM has heard; it would end the process."""
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    yield heard
    signal.signal(signal.SIGTERM, before)


async def test_what_is_left_is_handed_over_at_once(start: Start, world: World, database: Database) -> None:
    world.engine.open.clear()
    async with start(shutdown_seconds=0.1) as client:
        phone = asyncio.create_task(client.post("/api/image/generate", json=FOX, headers=KEY))
        await until(lambda: world.engine.orders)
    await asyncio.gather(phone, return_exceptions=True)
    document = await database["generations"].find_one()
    assert document is not None
    assert (document["state"], document["open"]) == ("drawing", True)
    world.engine.open.set()
    async with start(recovery_interval_seconds=0.05) as client:  # its lease would have lasted 30 s
        ended = await until_ended(database, document["_id"], seconds=5)
        assert (ended["state"], ended["attempts"], ended["lease"]["n"]) == ("succeeded", 2, 2)
        again = await client.post("/api/image/generate", json=FOX, headers=KEY)
        assert again.headers["Idempotent-Replayed"] == "true"
    assert (world.coin.balance, world.coin.held) == (90, 0)


class _Waiting(GenerationStore):
    """One whose every ``hand_over`` takes until all have begun, as without a database each takes seconds."""

    def __init__(self, database: Database, number: int) -> None:
        super().__init__(database, owner="stopping", lease_seconds=30)
        self._all = asyncio.Barrier(number)

    async def hand_over(self, generation: Generation, *, seconds: float) -> None:
        await self._all.wait()
        await super().hand_over(generation, seconds=seconds)


class _Endless(GenerationRunner):
    def __init__(self) -> None:
        pass

    async def drive(self, run: Run) -> Finished:
        return await asyncio.Future()


async def test_what_is_left_is_handed_over_side_by_side(database: Database, user_id: str) -> None:
    places = Places(drawing=3, drawing_per_user=3, waiting=0, per_user=3)
    tasks = GenerationTasks(_Waiting(database, 3), _Endless(), places)
    for n in range(3):
        places.take(user_id)
        tasks.begin(Run(await leave_behind(database, user_id, state="drawing", key=f"k{n}", stale=False)))
    await asyncio.wait_for(tasks.drain(0.01), 5)
    assert places.room == 3
    claimed = [await GenerationStore(database, owner="next", lease_seconds=30).claim_stale() for _ in range(3)]
    assert [each.lease_n for each in claimed if each is not None] == [2, 2, 2]


async def test_no_new_work_and_no_other_ones_while_stopping(
    start: Start, world: World, database: Database, told: list[int]
) -> None:
    world.engine.open.clear()
    async with start(recovery_interval_seconds=0.05) as client:
        phone = asyncio.create_task(client.post("/api/image/generate", json=FOX, headers=KEY))
        await until(lambda: world.engine.orders)
        os.kill(os.getpid(), signal.SIGTERM)
        await until(lambda: told)
        stale = await leave_behind(database, "f" * 24, state="drawing")
        refused = await client.post("/api/image/generate", json=FOX | {"prompt": "a cat"})
        assert (refused.status_code, refused.json()["code"]) == (503, "service_unavailable")
        assert int(refused.headers["Retry-After"]) > 0
        world.engine.open.set()
        assert (await phone).status_code == 200, "what is under way goes on"
    left = await database["generations"].find_one({"_id": stale.id})
    assert left is not None
    assert (left["state"], left["lease"]["n"]) == ("drawing", 1)
    assert len(world.engine.orders) == 1
