"""What the collection's indexes and filters hold, whatever its users do."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest_asyncio

from common.mongo import Database
from subscription_service.models import OPEN, Subscription, SubscriptionStatus, token_hash
from subscription_service.store import SubscriptionStore

NOW = datetime(2026, 10, 1, 10, tzinfo=UTC)
ADA, BOB = "a" * 24, "b" * 24


def subscription(token: str = "t1", user_id: str = ADA, **change: Any) -> Subscription:
    values: dict[str, Any] = {
        "id": token_hash(token),
        "user_id": user_id,
        "package_name": "com.example.app",
        "product_id": "pro_monthly",
        "purchase_token": token,
        "status": SubscriptionStatus.ACTIVE,
        "expires_at": NOW + timedelta(days=30),
        "auto_renewing": True,
        "test_purchase": False,
        "acknowledged": False,
        "paid": True,
        "replaces": None,
        "created_at": NOW,
        "verified_at": NOW,
        "recheck_at": NOW + timedelta(seconds=30),
    }
    return Subscription(**(values | change))


@pytest_asyncio.fixture
async def store(database: Database) -> SubscriptionStore:
    store = SubscriptionStore(database)
    await store.ensure_indexes()
    await store.ensure_indexes()  # every start does so
    return store


async def test_what_is_written_is_read_back(store: SubscriptionStore) -> None:
    written = subscription()
    assert await store.add(written)
    assert await store.find(written.id) == written
    assert await store.find(token_hash("t2")) is None


async def test_ten_inserts_at_once_let_one_in(store: SubscriptionStore) -> None:
    users = [f"{number}" * 24 for number in range(10)]
    added = await asyncio.gather(*(store.add(subscription(user_id=user)) for user in users))
    assert added.count(True) == 1
    stored = await store.find(token_hash("t1"))
    assert stored is not None
    assert stored.user_id == users[added.index(True)]


async def test_nobody_writes_on_anothers_purchase(store: SubscriptionStore) -> None:
    await store.add(subscription())
    stored = await store.set_said(subscription(user_id=BOB, status=SubscriptionStatus.EXPIRED))
    assert (stored.user_id, stored.status) == (ADA, SubscriptionStatus.ACTIVE)


async def test_an_earlier_question_does_not_overwrite_a_later_one(store: SubscriptionStore) -> None:
    await store.add(subscription())
    later = subscription(verified_at=NOW + timedelta(seconds=5), product_id="later")
    earlier = subscription(verified_at=NOW + timedelta(seconds=4), product_id="earlier")
    await store.set_said(later)
    assert (await store.set_said(earlier)).product_id == "later"


async def test_superseding_is_final(store: SubscriptionStore) -> None:
    await store.add(subscription())
    ended = await store.set_superseded(token_hash("t1"), by=token_hash("t2"))
    assert ended is not None
    assert ended.status is SubscriptionStatus.EXPIRED
    assert await store.set_superseded(token_hash("t1"), by=token_hash("t3")) is None
    said = await store.set_said(subscription(verified_at=NOW + timedelta(days=1)))
    assert (said.status, said.superseded_by) == (SubscriptionStatus.EXPIRED, token_hash("t2"))
    assert await store.find_open(ADA) == []


async def test_only_a_purchase_that_took_effect_succeeds_another(store: SubscriptionStore) -> None:
    await store.add(subscription("new", replaces=token_hash("old"), paid=False))
    assert await store.find_successor(token_hash("old")) is None
    await store.set_said(subscription("new", replaces=token_hash("old"), paid=True))
    successor = await store.find_successor(token_hash("old"))
    assert successor is not None
    assert successor.purchase_token == "new"


async def test_open_and_latest(store: SubscriptionStore) -> None:
    for number, status in enumerate(SubscriptionStatus):
        if status is not SubscriptionStatus.NONE:
            await store.add(subscription(status.value, status=status, expires_at=NOW + timedelta(days=number)))
    await store.add(subscription("other", user_id=BOB))
    assert {each.status for each in await store.find_open(ADA)} == OPEN
    latest = await store.find_latest(ADA)
    assert latest is not None
    assert latest.status is SubscriptionStatus.REVOKED
    assert await store.find_latest("c" * 24) is None


async def test_each_recheck_is_taken_once_and_in_order(store: SubscriptionStore) -> None:
    for number in range(6):
        await store.add(subscription(f"t{number}", recheck_at=NOW - timedelta(minutes=number)))
    await store.add(subscription("later", recheck_at=NOW + timedelta(seconds=1)))
    await store.add(subscription("never", recheck_at=None))
    first = await store.claim_recheck(NOW)
    assert first is not None
    assert first.purchase_token == "t5"
    assert first.recheck_at == NOW + timedelta(minutes=1)
    taken = []
    for _ in range(20):
        taken += await asyncio.gather(*(store.claim_recheck(NOW) for _ in range(4)))
    assert sorted(each.purchase_token for each in taken if each) == ["t0", "t1", "t2", "t3", "t4"]


async def test_every_query_has_its_index(store: SubscriptionStore, database: Database) -> None:
    await store.add(subscription(replaces=token_hash("t0")))
    collection = database["subscriptions"]
    queries: list[tuple[dict[str, Any], list[tuple[str, int]]]] = [
        ({"user_id": ADA, "status": {"$in": sorted(OPEN)}}, [("expires_at", -1)]),
        ({"user_id": ADA}, [("expires_at", -1)]),
        ({"replaces": token_hash("t0"), "paid": True}, []),
        ({"recheck_at": {"$lte": NOW}}, [("recheck_at", 1)]),
    ]
    for query, sort in queries:
        cursor = collection.find(query, sort=sort or None)
        plan = await cursor.explain()
        assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"]), query
