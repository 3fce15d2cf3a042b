"""Compare-and-set, and what the index holds."""

import asyncio

import pytest

from common.clients.auth import AccountRead
from common.clock import utc_now
from common.mongo import Database, new_id
from user_service.models import PendingChange, Profile
from user_service.store import REMEMBERED_REFUSALS, ProfileStore


@pytest.fixture
def profile() -> Profile:
    return Profile.of_account(
        AccountRead(id=new_id(), email="ada@example.com", name=None, created_at=utc_now(), version=0)
    )


def change(version: int, name: str = "Ada") -> PendingChange:
    return PendingChange(version=version, fields={"name": name}, opened_at=utc_now())


async def test_one_profile_a_user(store: ProfileStore, profile: Profile) -> None:
    outcomes = await asyncio.gather(*(store.add(profile) for _ in range(10)))
    assert sorted(outcomes) == [False] * 9 + [True]
    assert await store.find(profile.id) == profile
    assert await store.find(new_id()) is None


async def test_one_pending_change_a_profile(store: ProfileStore, profile: Profile) -> None:
    await store.add(profile)
    outcomes = await asyncio.gather(*(store.open_change(profile, change(1, str(n))) for n in range(10)))
    assert sorted(outcomes) == [False] * 9 + [True]


async def test_a_change_ends_once(store: ProfileStore, profile: Profile) -> None:
    await store.add(profile)
    first = change(1)
    await store.open_change(profile, first)
    await store.apply_change(profile.id, first, utc_now())
    await store.refuse_change(profile.id, first)
    stored = await store.find(profile.id)
    assert stored is not None
    assert (stored.name, stored.version, stored.refused, stored.pending) == ("Ada", 1, [], None)

    assert not await store.open_change(profile, change(1))  # read before
    second = change(2, "Lovelace")
    assert await store.open_change(stored, second)
    await store.apply_change(profile.id, change(1, "late"), utc_now())
    await store.refuse_change(profile.id, second)
    await store.apply_change(profile.id, second, utc_now())
    stored = await store.find(profile.id)
    assert stored is not None
    assert (stored.name, stored.version, stored.refused) == ("Ada", 2, [2])


async def test_refusals_are_remembered_for_a_while(store: ProfileStore, profile: Profile) -> None:
    await store.add(profile)
    for version in range(1, REMEMBERED_REFUSALS + 3):
        stored = await store.find(profile.id)
        assert stored is not None
        await store.open_change(stored, change(version))
        await store.refuse_change(profile.id, change(version))
    stored = await store.find(profile.id)
    assert stored is not None
    assert stored.refused == list(range(3, REMEMBERED_REFUSALS + 3))


async def test_pending_changes_are_found_by_an_index_that_holds_nothing_else(
    store: ProfileStore, profile: Profile, database: Database
) -> None:
    await store.add(profile)
    for _ in range(5):
        await store.add(profile.model_copy(update={"id": new_id()}))
    await store.open_change(profile, change(1))
    found = await store.find_pending(opened_before=utc_now().replace(year=2999), limit=10)
    assert [one.id for one in found] == [profile.id]
    assert await store.find_pending(opened_before=utc_now().replace(year=2000), limit=10) == []
    query = {"pending.opened_at": {"$lt": utc_now().replace(year=2999)}}
    plan = await database["profiles"].find(query).sort("pending.opened_at", 1).explain()
    assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"])
    assert "SORT'" not in str(plan["queryPlanner"]["winningPlan"])
    assert plan["executionStats"]["totalKeysExamined"] == 1
