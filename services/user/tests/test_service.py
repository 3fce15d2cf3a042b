"""The rules of profiles, and how they heal after a death at any step."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

import pytest

from common.clients.auth import AccountRead, EmailTakenError
from common.errors import InvalidTokenError, ServiceError, ServiceUnavailableError, UpstreamTimeoutError
from common.testing import FakeAuth, Fault
from user_service.models import PendingChange
from user_service.service import ProfileService
from user_service.store import ProfileStore

AT_ONCE = timedelta(seconds=-1)
NEW = {"email": "countess@example.com", "name": "Countess", "avatar_url": "https://example.com/a.png"}


async def kill_at(auth: FakeAuth, fault: Fault, work: Coroutine[Any, Any, Any]) -> None:
    """Let ``work`` die while it waits for auth, before or after auth has done its part."""
    auth.faults = [fault]
    task = asyncio.create_task(work)
    await asyncio.wait_for(auth.reached.wait(), 5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_the_first_call_makes_the_profile_of_the_account(
    profiles: ProfileService, auth: FakeAuth, ada: AccountRead
) -> None:
    profile = await profiles.get(ada.id)
    assert (profile.id, profile.email, profile.name, profile.avatar_url) == (ada.id, ada.email, "Ada", None)
    assert profile.created_at == profile.updated_at == ada.created_at
    auth.away = True
    assert await profiles.get(ada.id) == profile


async def test_many_first_calls_at_once_make_one_profile(
    profiles: ProfileService, ada: AccountRead, database: Any
) -> None:
    found = await asyncio.gather(*(profiles.get(ada.id) for _ in range(10)))
    assert len({profile.model_dump_json() for profile in found}) == 1
    assert await database["profiles"].count_documents({}) == 1


async def test_without_an_account_or_without_auth_there_is_no_first_call(
    profiles: ProfileService, auth: FakeAuth, ada: AccountRead
) -> None:
    with pytest.raises(InvalidTokenError):
        await profiles.get("0" * 24)
    auth.away = True
    with pytest.raises(ServiceUnavailableError):
        await profiles.get(ada.id)
    auth.away = False
    assert (await profiles.get(ada.id)).email == ada.email


async def test_a_change_reaches_auth_and_the_profile(
    profiles: ProfileService, auth: FakeAuth, ada: AccountRead, clock: Any
) -> None:
    await profiles.get(ada.id)
    clock.advance(60)
    profile = await profiles.change(ada.id, NEW)
    assert (profile.email, profile.name, profile.avatar_url) == tuple(NEW.values())
    assert (profile.version, profile.pending, profile.updated_at) == (1, None, clock.now)
    assert profile.created_at == ada.created_at
    account = auth.accounts[ada.id]
    assert (account.email, account.name, account.version) == (NEW["email"], NEW["name"], 1)


async def test_only_what_is_sent_changes(profiles: ProfileService, ada: AccountRead) -> None:
    await profiles.change(ada.id, NEW)
    profile = await profiles.change(ada.id, {"name": None})
    assert (profile.email, profile.name, profile.avatar_url) == (NEW["email"], None, NEW["avatar_url"])


async def test_what_changes_nothing_asks_nobody_and_leaves_the_time(
    profiles: ProfileService, auth: FakeAuth, ada: AccountRead, clock: Any
) -> None:
    before = await profiles.change(ada.id, NEW)
    calls = auth.calls
    clock.advance(60)
    for fields in ({}, NEW, {"avatar_url": NEW["avatar_url"]}, {"name": NEW["name"]}):
        assert await profiles.change(ada.id, dict(fields)) == before
    assert auth.calls == calls


async def test_a_picture_alone_does_not_need_auth(
    profiles: ProfileService, auth: FakeAuth, ada: AccountRead, clock: Any
) -> None:
    await profiles.get(ada.id)
    auth.away = True
    clock.advance(60)
    profile = await profiles.change(ada.id, {"avatar_url": "https://example.com/b.png"})
    assert (profile.avatar_url, profile.updated_at) == ("https://example.com/b.png", clock.now)
    assert (await profiles.change(ada.id, {"avatar_url": None})).avatar_url is None


async def test_a_taken_address_changes_nothing_at_all(
    profiles: ProfileService, auth: FakeAuth, ada: AccountRead, clock: Any
) -> None:
    auth.add_account("countess@example.com")
    before = await profiles.get(ada.id)
    clock.advance(60)
    with pytest.raises(EmailTakenError):
        await profiles.change(ada.id, NEW)
    after = await profiles.get(ada.id)
    assert (after.email, after.name, after.avatar_url, after.updated_at, after.pending) == (
        before.email,
        before.name,
        before.avatar_url,
        before.updated_at,
        None,
    )
    profile = await profiles.change(ada.id, NEW | {"email": "free@example.com"})  # under a version of its own
    assert (profile.email, profile.version) == ("free@example.com", 2)


async def test_while_auth_is_away_a_change_waits_and_the_old_profile_shows(
    profiles: ProfileService, auth: FakeAuth, ada: AccountRead
) -> None:
    await profiles.get(ada.id)
    auth.away = True
    with pytest.raises(ServiceUnavailableError):
        await profiles.change(ada.id, NEW)
    assert (await profiles.get(ada.id)).email == "ada@example.com"
    with pytest.raises(ServiceUnavailableError):
        await profiles.heal(older_than=AT_ONCE)
    auth.away = False
    assert await profiles.heal(older_than=AT_ONCE) == 1
    assert (await profiles.get(ada.id)).email == NEW["email"]
    assert await profiles.heal(older_than=AT_ONCE) == 0


async def test_a_lost_answer_is_asked_for_again_and_done_once(
    profiles: ProfileService, auth: FakeAuth, ada: AccountRead
) -> None:
    await profiles.get(ada.id)
    auth.faults = [Fault.ANSWER_LOST, Fault.REFUSED]
    assert (await profiles.change(ada.id, NEW)).email == NEW["email"]
    assert auth.accounts[ada.id].version == 1


async def test_answers_that_stay_lost_leave_the_outcome_open_until_healed(
    profiles: ProfileService, auth: FakeAuth, ada: AccountRead
) -> None:
    await profiles.get(ada.id)
    auth.faults = [Fault.ANSWER_LOST] * 3
    with pytest.raises(UpstreamTimeoutError):
        await profiles.change(ada.id, NEW)
    await profiles.heal(older_than=AT_ONCE)
    assert (await profiles.get(ada.id)).email == auth.accounts[ada.id].email == NEW["email"]
    assert auth.accounts[ada.id].version == 1


@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.DONE_SILENT])
@pytest.mark.parametrize("taken", [False, True])
async def test_a_death_while_asking_auth_heals(
    profiles: ProfileService, auth: FakeAuth, ada: AccountRead, store: ProfileStore, fault: Fault, taken: bool
) -> None:
    if taken:
        auth.add_account("countess@example.com")
    await profiles.get(ada.id)
    await kill_at(auth, fault, profiles.change(ada.id, NEW))
    stored = await store.find(ada.id)
    assert stored is not None
    assert stored.pending is not None
    assert stored.email == "ada@example.com"

    another_process = ProfileService(store, auth.client())
    await another_process.heal(older_than=AT_ONCE)

    profile = await profiles.get(ada.id)
    expected = "ada@example.com" if taken else NEW["email"]
    assert profile.email == auth.accounts[ada.id].email == expected
    assert (profile.pending, profile.version) == (None, 1)
    assert (profile.name, profile.avatar_url) == (("Ada", None) if taken else (NEW["name"], NEW["avatar_url"]))


async def test_a_death_before_asking_auth_heals(
    profiles: ProfileService, auth: FakeAuth, ada: AccountRead, store: ProfileStore, clock: Any
) -> None:
    profile = await profiles.get(ada.id)
    await store.open_change(profile, PendingChange(version=1, fields={"name": "Countess"}, opened_at=clock.now))
    assert await profiles.heal(older_than=timedelta(seconds=4)) == 0  # whoever began it may still be at it
    clock.advance(5)
    assert await profiles.heal(older_than=timedelta(seconds=4)) == 1
    assert (await profiles.get(ada.id)).name == auth.accounts[ada.id].name == "Countess"


async def test_healing_by_many_at_once_does_it_once(
    profiles: ProfileService, auth: FakeAuth, ada: AccountRead, store: ProfileStore
) -> None:
    await profiles.get(ada.id)
    await kill_at(auth, Fault.SILENT, profiles.change(ada.id, NEW))
    replicas = [ProfileService(store, auth.client()) for _ in range(5)]
    await asyncio.gather(*(replica.heal(older_than=AT_ONCE) for replica in replicas))
    profile = await profiles.get(ada.id)
    assert (profile.email, profile.version, auth.accounts[ada.id].version) == (NEW["email"], 1, 1)


async def test_a_change_of_an_account_that_is_gone_is_dropped(
    profiles: ProfileService, auth: FakeAuth, ada: AccountRead, store: ProfileStore
) -> None:
    await profiles.get(ada.id)
    await kill_at(auth, Fault.SILENT, profiles.change(ada.id, NEW))
    del auth.accounts[ada.id]
    await profiles.heal(older_than=AT_ONCE)
    stored = await store.find(ada.id)
    assert stored is not None
    assert stored.pending is None
    with pytest.raises(InvalidTokenError):
        await profiles.change(ada.id, {"name": "Ghost"})


async def test_what_is_pending_is_finished_before_the_next_change(
    profiles: ProfileService, auth: FakeAuth, ada: AccountRead
) -> None:
    await profiles.get(ada.id)
    await kill_at(auth, Fault.DONE_SILENT, profiles.change(ada.id, NEW))
    profile = await profiles.change(ada.id, {"name": "Lovelace", "avatar_url": None})
    assert (profile.email, profile.name, profile.avatar_url, profile.version) == (NEW["email"], "Lovelace", None, 2)
    assert auth.accounts[ada.id].name == "Lovelace"


async def test_a_later_picture_is_not_undone_by_an_earlier_change(
    profiles: ProfileService, auth: FakeAuth, ada: AccountRead
) -> None:
    await profiles.get(ada.id)
    await kill_at(auth, Fault.SILENT, profiles.change(ada.id, NEW))
    await profiles.change(ada.id, {"avatar_url": "https://example.com/later.png"})
    await profiles.heal(older_than=AT_ONCE)
    assert (await profiles.get(ada.id)).avatar_url == "https://example.com/later.png"


async def test_changes_at_once_go_one_after_the_other(
    profiles: ProfileService, auth: FakeAuth, ada: AccountRead
) -> None:
    changes: list[dict[str, str | None]] = [{"email": f"ada{number}@example.com"} for number in range(6)]
    changes += [{"name": f"Ada {number}"} for number in range(6)]
    changes += [{"avatar_url": f"https://example.com/{number}"} for number in range(6)]
    outcomes = await asyncio.gather(*(profiles.change(ada.id, change) for change in changes))
    assert len(outcomes) == 18
    profile, account = await profiles.get(ada.id), auth.accounts[ada.id]
    assert (profile.version, account.version, profile.pending) == (12, 12, None)
    assert (profile.email, profile.name) == (account.email, account.name)
    assert profile.email != "ada@example.com"
    assert profile.name != "Ada"
    assert profile.avatar_url is not None


async def test_of_many_at_once_those_refused_are_told_so(
    profiles: ProfileService, auth: FakeAuth, ada: AccountRead
) -> None:
    auth.add_account("taken@example.com")
    changes: list[dict[str, str | None]] = [{"email": "taken@example.com"}, {"name": "x"}] * 5
    changes = [change | {"name": str(number)} for number, change in enumerate(changes)]
    outcomes = await asyncio.gather(*(profiles.change(ada.id, one) for one in changes), return_exceptions=True)
    refused = [isinstance(outcome, EmailTakenError) for outcome in outcomes]
    assert refused == [True, False] * 5
    assert (await profiles.get(ada.id)).name in {"1", "3", "5", "7", "9"}


async def test_whatever_goes_wrong_profile_and_account_agree_in_the_end(
    profiles: ProfileService, auth: FakeAuth, ada: AccountRead
) -> None:
    await profiles.get(ada.id)
    for number in range(20):
        auth.faults = [(Fault.ANSWER_LOST, Fault.REFUSED)[number >> bit & 1] for bit in range(number % 4)]
        try:
            await profiles.change(ada.id, {"email": f"ada{number}@example.com", "name": str(number)})
        except ServiceError:
            auth.faults = []
            await profiles.heal(older_than=AT_ONCE)
        profile, account = await profiles.get(ada.id), auth.accounts[ada.id]
        assert (profile.email, profile.name, profile.version) == (account.email, account.name, account.version)
        assert profile.name == str(number)
