"""A message is kept once, worked off once at a time, and never forgotten."""

import asyncio
from datetime import timedelta

import pytest_asyncio

from coin_service.errors import PaymentProviderUnavailableError
from coin_service.inbox import InboxStore, Message
from coin_service.inbox_worker import MAX_FAILURES, InboxWorker, PostponedError, UnusableMessageError
from common.clock import utc_now
from common.mongo import Database


@pytest_asyncio.fixture
async def inbox(database: Database) -> InboxStore:
    store = InboxStore(database)
    await store.ensure_schema()
    return store


async def add(inbox: InboxStore, event_id: str = "evt_1") -> str:
    assert await inbox.add("stripe", event_id, "charge.refunded", {"id": event_id})
    return f"stripe:{event_id}"


async def make_due(database: Database, message_id: str) -> None:
    await database["inbox"].update_one({"_id": message_id}, {"$set": {"next_at": utc_now() - timedelta(seconds=1)}})


async def found(inbox: InboxStore, message_id: str) -> Message:
    message = await inbox.find(message_id)
    assert message is not None
    return message


async def test_message_is_kept_once(inbox: InboxStore) -> None:
    kept = await asyncio.gather(*(inbox.add("stripe", "evt_1", "x", {"a": 1}) for _ in range(8)))
    assert sum(kept) == 1
    assert [message.content for message in await inbox.list_messages("received", limit=10)] == [{"a": 1}]
    assert await inbox.add("admob", "evt_1", "x", {})


async def test_waiting_is_no_failure(inbox: InboxStore, database: Database) -> None:
    outcomes: list[Exception] = [PostponedError(seconds=9) for _ in range(MAX_FAILURES)]
    outcomes.append(PaymentProviderUnavailableError())

    async def handle(_: Message) -> None:
        raise outcomes.pop(0)

    name = await add(inbox)
    worker = InboxWorker(inbox, {"stripe": handle})
    while outcomes:
        await make_due(database, name)
        await worker.work_off()
    message = await found(inbox, name)
    assert (message.state, message.error) == ("retry", "payment_provider_unavailable")
    assert message.next_at is not None
    assert message.next_at < utc_now() + timedelta(seconds=5)  # the first pause of all


async def test_late_word_of_before_a_replay_is_refused(inbox: InboxStore) -> None:
    name = await add(inbox)
    before = await inbox.claim(name)
    assert before is not None
    assert await inbox.replay(name)
    after = await inbox.claim(name)
    assert after is not None
    await inbox.set_dead(before, error="too late")
    assert not await inbox.renew(before)
    assert await inbox.renew(after)
    assert (await found(inbox, name)).state == "received"


async def test_two_processes_share_the_work(inbox: InboxStore, database: Database) -> None:
    seen: list[str] = []

    async def handle(message: Message) -> None:
        seen.append(message.id)
        await asyncio.sleep(0)

    names = [await add(inbox, f"evt_{n}") for n in range(20)]
    workers = [InboxWorker(InboxStore(database), {"stripe": handle}) for _ in range(3)]
    await asyncio.gather(*(worker.work_off() for worker in workers))
    assert sorted(seen) == sorted(names)
    assert {message.state for message in await inbox.list_messages(None, limit=100)} == {"done"}


async def test_failure_is_tried_again_until_it_is_done(inbox: InboxStore, database: Database) -> None:
    failures: list[Exception] = [PaymentProviderUnavailableError(), RuntimeError("a bug"), PostponedError(seconds=9)]

    async def handle(_: Message) -> None:
        if failures:
            raise failures.pop(0)

    name = await add(inbox)
    worker = InboxWorker(inbox, {"stripe": handle})
    for error in ("payment_provider_unavailable", "internal_error", "postponed"):
        await worker.work_off()
        message = await found(inbox, name)
        assert (message.state, message.error) == ("retry", error)
        assert message.next_at is not None
        assert message.next_at > utc_now()
        await make_due(database, name)
    await worker.work_off()
    message = await found(inbox, name)
    assert (message.state, message.error, message.next_at, message.attempts) == ("done", None, None, 4)


async def test_what_cannot_be_done_is_dead_until_replayed(inbox: InboxStore, database: Database) -> None:
    broken = True

    async def handle(message: Message) -> None:
        if broken:
            raise UnusableMessageError("unknown_user") if message.id.endswith("1") else PaymentProviderUnavailableError

    first, second = await add(inbox, "evt_1"), await add(inbox, "evt_2")
    await database["inbox"].update_one({"_id": second}, {"$set": {"failures": MAX_FAILURES - 1}})
    worker = InboxWorker(inbox, {"stripe": handle})
    await worker.work_off()
    dead = {message.id: message.error for message in await inbox.list_messages("dead", limit=10)}
    assert dead == {first: "unknown_user", second: "payment_provider_unavailable"}

    broken = False
    assert await inbox.replay(first)
    assert not await inbox.replay("stripe:evt_3")
    await worker.work_off()
    assert (await found(inbox, first)).state == "done"
    assert (await found(inbox, second)).state == "dead"


async def test_a_killed_process_loses_its_lease(inbox: InboxStore, database: Database) -> None:
    name = await add(inbox)
    lost = await inbox.claim()
    assert lost is not None
    assert await inbox.claim() is None
    await make_due(database, name)
    taken = await inbox.claim()
    assert taken is not None
    await inbox.set_retry(lost, seconds=0, error="late", failures=1)  # the first one was only slow
    assert (await found(inbox, name)).error is None
    await inbox.set_done(taken)
    await inbox.set_dead(lost, error="late")
    assert (await found(inbox, name)).state == "done"


async def test_slow_handler_keeps_its_message(database: Database) -> None:
    calls = 0
    began, go_on = asyncio.Event(), asyncio.Event()

    async def handle(_: Message) -> None:
        nonlocal calls
        calls += 1
        began.set()
        await go_on.wait()

    inboxes = [InboxStore(database, lease_seconds=0.6) for _ in range(2)]
    name = await add(inboxes[0])
    slow = asyncio.create_task(InboxWorker(inboxes[0], {"stripe": handle}).work_off())
    await began.wait()
    first = (await found(inboxes[0], name)).next_at
    assert first is not None
    other = InboxWorker(inboxes[1], {"stripe": handle})
    async with asyncio.timeout(20):
        while utc_now() < first + timedelta(seconds=1):  # more than another whole lease
            await other.work_off()
            await asyncio.sleep(0.02)
    go_on.set()
    await slow
    assert calls == 1
    assert (await found(inboxes[0], name)).state == "done"


async def test_message_of_a_killed_process_is_worked_off_when_its_lease_ends(database: Database) -> None:
    inbox = InboxStore(database, lease_seconds=0.5)
    name = await add(inbox)
    began, done = asyncio.Event(), asyncio.Event()

    async def hang(_: Message) -> None:
        began.set()
        await asyncio.Event().wait()

    async def handle(_: Message) -> None:
        done.set()

    killed = asyncio.create_task(InboxWorker(inbox, {"stripe": hang}).work_off())
    await began.wait()
    killed.cancel()
    await asyncio.gather(killed, return_exceptions=True)
    assert (await found(inbox, name)).state == "received"
    running = asyncio.create_task(InboxWorker(inbox, {"stripe": handle}, poll_seconds=0.05).run())
    async with asyncio.timeout(10):
        await done.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_lease_that_was_lost_is_not_renewed(inbox: InboxStore, database: Database) -> None:
    name = await add(inbox)
    lost = await inbox.claim()
    assert lost is not None
    assert await inbox.renew(lost)
    await make_due(database, name)
    taken = await inbox.claim()
    assert taken is not None
    assert not await inbox.renew(lost)
    assert await inbox.renew(taken)
    await inbox.set_done(taken)
    assert not await inbox.renew(taken)
    assert (await found(inbox, name)).next_at is None


async def test_worker_is_woken(inbox: InboxStore) -> None:
    done = asyncio.Event()

    async def handle(_: Message) -> None:
        done.set()

    worker = InboxWorker(inbox, {"stripe": handle}, poll_seconds=60)
    running = asyncio.create_task(worker.run())
    await asyncio.sleep(0.1)
    await add(inbox)
    worker.wake()
    async with asyncio.timeout(10):
        await done.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
