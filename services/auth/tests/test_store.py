"""Indexes, and what many at once may do."""

import asyncio
from datetime import timedelta

import pytest

from auth_service.models import Account
from auth_service.store import AccountStore, SessionStore, TallyStore
from common.clients.auth import EmailTakenError
from common.clock import utc_now
from common.mongo import Database

HOUR = timedelta(hours=1)


def account(email: str) -> Account:
    return Account(email=email, email_key=email, name=None, password_hash="-")


async def test_ten_accounts_at_once_with_one_address_are_one(accounts: AccountStore, database: Database) -> None:
    outcomes = await asyncio.gather(
        *(accounts.add(account("ada@example.com")) for _ in range(10)), return_exceptions=True
    )
    assert sum(outcome is None for outcome in outcomes) == 1
    assert sum(isinstance(outcome, EmailTakenError) for outcome in outcomes) == 9
    assert await database["accounts"].count_documents({}) == 1


async def test_a_slower_change_is_told_so(accounts: AccountStore) -> None:
    ada = account("ada@example.com")
    await accounts.add(ada)
    assert await accounts.set_identity(ada.changed(name="first", version=1), from_version=0)
    assert not await accounts.set_identity(ada.changed(name="second", version=1), from_version=0)
    stored = await accounts.find(ada.id)
    assert stored is not None
    assert stored.name == "first"


async def test_a_change_of_who_leaves_the_password_alone(accounts: AccountStore) -> None:
    ada = account("ada@example.com")
    await accounts.add(ada)
    await accounts.set_password_hash(ada.id, "new", instead_of="-")
    await accounts.set_password_hash(ada.id, "late", instead_of="-")
    await accounts.set_identity(ada.changed(name="Ada", version=1), from_version=0)
    stored = await accounts.find(ada.id)
    assert stored is not None
    assert (stored.password_hash, stored.name) == ("new", "Ada")


async def test_tallies_lose_no_count(tallies: TallyStore) -> None:
    now = utc_now()
    await asyncio.gather(*(tallies.add("one", now, window=HOUR) for _ in range(40)))
    found = await tallies.find(["one", "two"], now)
    assert list(found) == ["one"]
    assert found["one"].count == 40


async def test_an_expired_tally_counts_no_more_though_it_is_still_there(tallies: TallyStore) -> None:
    now = utc_now()
    await tallies.add("one", now, window=HOUR)
    later = now + HOUR
    assert await tallies.find(["one"], later) == {}
    outcomes = await asyncio.gather(*(tallies.add("one", later, window=HOUR) for _ in range(10)))
    assert max(tally.count for tally in outcomes) == 10
    assert outcomes[0].expires_at == later + HOUR


async def test_mongodb_removes_what_has_expired_and_finds_by_index(database: Database) -> None:
    for store in (AccountStore(database), SessionStore(database), TallyStore(database)):
        await store.ensure_indexes()
        await store.ensure_indexes()
    for name in ("sessions", "tallies"):
        indexes = await database[name].index_information()
        assert indexes["expires_at_1"]["expireAfterSeconds"] == 0
    plan = await database["accounts"].find({"email_key": "x"}).explain()
    assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"])


async def test_a_taken_address_refuses_a_change(accounts: AccountStore) -> None:
    ada, eve = account("ada@example.com"), account("eve@example.com")
    await accounts.add(ada)
    await accounts.add(eve)
    with pytest.raises(EmailTakenError):
        await accounts.set_identity(eve.changed(email_key=ada.email_key, version=1), from_version=0)
