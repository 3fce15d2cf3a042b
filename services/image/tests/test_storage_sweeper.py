"""Turns: one process at a time, on from where the last one stopped."""

import asyncio

import pytest

from common.duties import DutyLostError, DutyStore
from common.mongo import Database
from image_service.errors import StorageUnavailableError
from image_service.storage_sweeper import StorageSweeper


class Pages:
    """Work of three pages; its turns can be made to fail."""

    def __init__(self, name: str = "pages") -> None:
        self.name = name
        self.turns: list[str | None] = []
        self.failures: list[Exception] = []

    async def sweep(self, after: str | None, /) -> str | None:
        if self.failures:
            raise self.failures.pop(0)
        self.turns.append(after)
        return {None: "1", "1": "2", "2": None}[after]


async def test_a_round_goes_on_where_it_stopped(database: Database) -> None:
    work = Pages()
    for _ in range(4):
        # Each time another process; no pause, so that every turn is due.
        await StorageSweeper(DutyStore(database), [work], interval_seconds=0).sweep()
    assert work.turns == [None, "1", "2", None]


async def test_between_rounds_it_waits(database: Database) -> None:
    work = Pages()
    duties = DutyStore(database)
    await StorageSweeper(duties, [work], interval_seconds=3600).sweep()
    await StorageSweeper(duties, [work], interval_seconds=3600).sweep()
    assert work.turns == [None], "the next turn is due after a pause"


async def test_one_process_at_a_time(database: Database) -> None:
    work = Pages()
    sweepers = [StorageSweeper(DutyStore(database), [work], interval_seconds=3600) for _ in range(8)]
    await asyncio.gather(*(sweeper.sweep() for sweeper in sweepers))
    assert work.turns == [None]


async def test_a_turn_that_failed_is_taken_again_and_the_others_go_on(database: Database) -> None:
    failing, other = Pages("failing"), Pages("other")
    sweeper = StorageSweeper(DutyStore(database), [failing, other], interval_seconds=0)
    await sweeper.sweep()
    failing.failures = [StorageUnavailableError()]
    await sweeper.sweep()
    await sweeper.sweep()
    assert (failing.turns, other.turns) == ([None, "1"], [None, "1", "2"])


async def test_a_dead_process_turn_is_taken_by_another(database: Database) -> None:
    duties = DutyStore(database)
    dead = await duties.claim("pages", lease_seconds=0)
    assert dead is not None
    work = Pages()
    await StorageSweeper(duties, [work], interval_seconds=0).sweep()
    assert work.turns == [None]
    with pytest.raises(DutyLostError):  # it was not dead, but it has lost its turn
        await duties.finish(dead, {"position": "9"}, again_seconds=0)
    await StorageSweeper(duties, [work], interval_seconds=0).sweep()
    assert work.turns == [None, "1"]


async def test_who_has_lost_its_turn_meanwhile_moves_nothing(database: Database) -> None:
    duties = DutyStore(database)

    class Slow(Pages):
        async def sweep(self, after: str | None, /) -> str | None:
            await database["duties"].update_one({"_id": self.name}, {"$inc": {"turn": 1}})  # its lease ran out
            return await super().sweep(after)

    work = Slow()
    await StorageSweeper(duties, [work], interval_seconds=0).sweep()
    found = await duties.find(work.name)
    assert work.turns == [None]
    assert found is not None
    assert "result" not in found


async def test_what_nobody_foresaw_is_told_and_taken_again_after_the_lease(database: Database) -> None:
    work = Pages()
    work.failures = [RuntimeError("unforeseen")]
    sweeper = StorageSweeper(DutyStore(database), [work], interval_seconds=0)
    with pytest.raises(RuntimeError):
        await sweeper.sweep()
    await sweeper.sweep()
    assert work.turns == []
