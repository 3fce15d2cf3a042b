"""Every step is a compare-and-set: of two who try, one succeeds, and who was taken for dead changes nothing."""

import asyncio
from typing import Any

import pytest

from common.mongo import DATABASE_UNAVAILABLE, Database
from image_service.changes import Changes
from image_service.models import Failure, Generation, State
from image_service.moves import FencedError, Moves
from image_service.store.generations import GenerationStore
from image_service.testing import leave_behind, some_generation

CANCELED = Failure(code="canceled", message="This order was canceled.")
STEPS: list[tuple[State, State]] = [
    ("accepted", "reserved"),
    ("accepted", "voiding"),
    ("reserved", "drawing"),
    ("reserved", "voiding"),
    ("drawing", "drawing"),
    ("drawing", "stored"),
    ("drawing", "voiding"),
    ("stored", "succeeded"),
    ("stored", "voiding"),
    ("voiding", "failed"),
]


def store_of(database: Database, owner: str, lease_seconds: float = 30) -> GenerationStore:
    return GenerationStore(database, owner=owner, lease_seconds=lease_seconds)


def changes_of(before: State, after: State) -> dict[str, Any]:
    return {"attempts": 1} if (before, after) == ("drawing", "drawing") else {}


@pytest.mark.parametrize(("before", "after"), STEPS)
async def test_a_step_is_taken_once(database: Database, user_id: str, before: State, after: State) -> None:
    generation = await leave_behind(database, user_id, state=before)
    store = store_of(database, "one")
    moved = await asyncio.gather(*(store.move(generation, after, **changes_of(before, after)) for _ in range(8)))
    taken = [each for each in moved if each is not None]
    assert [(each.state, each.version) for each in taken] == [(after, 2)]
    assert await store.get(generation.id) == taken[0]


@pytest.mark.parametrize(("before", "after"), STEPS)
async def test_who_was_taken_for_dead_takes_no_step(
    database: Database, user_id: str, before: State, after: State
) -> None:
    generation = await leave_behind(database, user_id, state=before)
    dead, living = store_of(database, "dead"), store_of(database, "living")
    claimed = await living.claim_stale()
    assert claimed is not None
    assert (claimed.id, claimed.lease_n) == (generation.id, 2)
    assert await dead.move(generation, after) is None
    assert await dead.set_drawn(generation, 1) is None
    await dead.hand_over(generation, seconds=-1)
    assert await dead.renew({generation.id: generation.lease_n}) == {generation.id}
    assert await dead.claim_stale() is None, "it is leased, and could not be handed over"
    moves = Moves(dead, Changes(dead))
    with pytest.raises(FencedError):
        await moves.make(generation, after, **changes_of(before, after))
    assert await living.get(generation.id) == claimed
    assert await living.renew({claimed.id: claimed.lease_n}) == set()
    assert await living.move(claimed, after, **changes_of(before, after)) is not None


async def test_of_many_claims_one_succeeds(database: Database, user_id: str) -> None:
    await leave_behind(database, user_id, state="drawing")
    claims = await asyncio.gather(*(store_of(database, str(n)).claim_stale() for n in range(8)))
    assert [claim.lease_n for claim in claims if claim is not None] == [2]


async def test_what_is_handed_over_is_not_held_on_to(database: Database, user_id: str) -> None:
    generation = await leave_behind(database, user_id, state="stored", stale=False)
    before, after = store_of(database, "dead"), store_of(database, "next")
    await before.hand_over(generation, seconds=-1)
    assert await before.renew({generation.id: 1}) == set(), "sent at the same moment; it is not lost to anybody yet"
    claimed = await after.claim_stale()
    assert claimed is not None
    assert await after.renew({claimed.id: 2}) == set()
    assert await store_of(database, "third").claim_stale() is None


@pytest.mark.parametrize("state", ["accepted", "reserved"])
async def test_calling_off_and_drawing_exclude_each_other(database: Database, user_id: str, state: State) -> None:
    for n in range(12):
        generation = await leave_behind(database, user_id, state=state, key=f"k{n}", stale=False)
        ours, other = store_of(database, "dead"), store_of(database, "other")
        drawing, withdrawn = await asyncio.gather(
            ours.move(generation, "drawing", attempts=1), other.withdraw(user_id, generation.id, CANCELED)
        )
        assert (drawing is None) != (withdrawn is None)
        current = await ours.get(generation.id)
        assert current.state == ("drawing" if drawing else "voiding")
        if withdrawn is not None:
            assert (withdrawn.lease_n, withdrawn.version) == (2, 2)
            assert (withdrawn.holds_key, withdrawn.joins, withdrawn.failure) == (False, False, CANCELED)
            assert await ours.renew({generation.id: 1}) == {generation.id}


async def test_only_its_user_calls_an_order_off_and_not_once_it_is_drawn(database: Database, user_id: str) -> None:
    store = store_of(database, "one")
    accepted = await leave_behind(database, user_id)
    assert await store.withdraw("f" * 24, accepted.id, CANCELED) is None
    states: list[State] = ["drawing", "stored", "succeeded", "voiding", "failed"]
    for state in states:
        generation = await leave_behind(database, user_id, state=state, key=state)
        assert await store.withdraw(user_id, generation.id, CANCELED) is None
        assert (await store.get(generation.id)).state == state


async def test_an_order_is_written_once_however_often_it_is_sent(database: Database, user_id: str) -> None:
    store = store_of(database, "one")
    await store.ensure_indexes()
    generation = some_generation(user_id)
    first = await store.add(generation)
    assert first is not None
    moved = await store.move(first, "reserved", cover="coins")
    assert await store.add(generation) == first, "as after an answer that was lost"
    assert await store.get(generation.id) == moved, "and what has happened since is still there"
    assert await store.add(some_generation(user_id)) is None, "the key is taken"
    assert await store.add(some_generation(user_id, key=None, holds_key=False, joins=True)) is not None
    assert await store.add(some_generation(user_id, key=None, holds_key=False, joins=True)) is None, "an equal one"
    assert await store.add(some_generation("e" * 24)) is not None, "another user's key is another key"


class _LosesAnswers(GenerationStore):
    """A database of which answers are lost: after the write, or before it."""

    def __init__(self, store: GenerationStore, *, lost: int, is_written: bool) -> None:
        self.__dict__.update(store.__dict__)
        self._lost = lost
        self._is_written = is_written

    async def move(self, generation: Generation, after: State, **changes: Any) -> Generation | None:
        if self._lost:
            self._lost -= 1
            if self._is_written:
                await super().move(generation, after, **changes)
            raise DATABASE_UNAVAILABLE[0]("lost on purpose")
        return await super().move(generation, after, **changes)


@pytest.mark.parametrize(("before", "after"), STEPS)
@pytest.mark.parametrize("is_written", [True, False])
async def test_a_step_whose_answer_is_lost_is_taken_once(
    database: Database, user_id: str, before: State, after: State, is_written: bool
) -> None:
    generation = await leave_behind(database, user_id, state=before)
    store = _LosesAnswers(store_of(database, "dead"), lost=2, is_written=is_written)
    moved = await Moves(store, Changes(store)).make(generation, after, **changes_of(before, after))
    assert (moved.state, moved.version, moved.lease_n) == (after, 2, 1)
