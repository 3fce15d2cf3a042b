"""The chain holds whatever comes at the same time, and whatever the network loses."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

import pytest

from coin_service.earning import EarningService
from coin_service.errors import EarnLimitReachedError
from coin_service.holds import HoldService
from coin_service.ledger import Ledger, Moved, Request
from coin_service.models import Draft, Entry
from coin_service.service import CoinService
from coin_service.settings import EarnRule
from coin_service.store import LedgerStore, from_document, to_document
from common.clients.coin import HoldResolvedError, InsufficientCoinsError
from common.errors import ServiceUnavailableError, UpstreamTimeoutError
from common.mongo import DATABASE_UNAVAILABLE, Database, DuplicateKeyError, new_id
from common.testing.auth import FakeAuth

BROKEN = DATABASE_UNAVAILABLE[0]


async def chain(database: Database, user_id: str) -> list[Entry]:
    documents = await database["entries"].find({"user_id": user_id}).sort("seq", 1).to_list(10_000)
    return [from_document(document) for document in documents]


def assert_sound(entries: list[Entry]) -> None:
    """Fold the entries without the code under test: the state each one carries follows from those before it."""
    balance = held = 0
    open_holds: dict[str, int] = {}
    for number, entry in enumerate(entries, start=1):
        match entry.kind:
            case "credit":
                balance += entry.amount
            case "debit":
                balance -= entry.amount
            case "hold":
                open_holds[entry.key] = entry.amount
                balance -= entry.amount
                held += entry.amount
            case "capture":
                whole = open_holds.pop(entry.resolves or "")
                balance += whole - entry.amount
                held -= whole
            case "void":
                whole = open_holds.pop(entry.resolves or "", 0)
                balance += whole
                held -= whole
        assert (entry.seq, entry.balance, entry.held) == (number, balance, held)
        assert balance >= 0
        assert held == sum(open_holds.values())
    listed = [entry for entry in entries if entry.type is not None]
    assert [entry.position for entry in listed] == list(range(1, len(listed) + 1))
    total = 0
    for entry in listed:
        total += entry.signed_amount
        assert entry.total == total
    assert len({entry.key for entry in entries}) == len(entries)


def new_request(user_id: str, key: str | None = None, fingerprint: str = "f") -> Request:
    return Request.of(user_id, key, fingerprint)


def several(database: Database, auth: FakeAuth, count: int) -> list[Ledger]:
    """The same wallets in several processes: nothing but the database between them."""
    return [Ledger(LedgerStore(database), auth.client(), signup_bonus_coins=100) for _ in range(count)]


async def test_parallel_debits_never_overdraw(store: LedgerStore, database: Database, auth: FakeAuth, ada: str) -> None:
    services = [CoinService(ledger) for ledger in several(database, auth, 4)]
    outcomes = await asyncio.gather(
        *(services[n % 4].deduct(ada, 7, reason=None, request=new_request(ada)) for n in range(32)),
        return_exceptions=True,
    )
    entries = await chain(database, ada)
    assert_sound(entries)
    assert sum(isinstance(outcome, Moved) for outcome in outcomes) == 14
    assert sum(isinstance(outcome, InsufficientCoinsError) for outcome in outcomes) == 18
    assert entries[-1].balance == 2


async def test_thirty_two_debits_in_one_process_all_find_their_place(
    coins: CoinService, database: Database, ada: str
) -> None:
    moved = await asyncio.gather(*(coins.deduct(ada, 3, reason=None, request=new_request(ada)) for _ in range(32)))
    assert sorted(each.entry.balance for each in moved) == [100 - 3 * n for n in range(32, 0, -1)]
    assert_sound(await chain(database, ada))


async def test_same_key_in_parallel_moves_once(
    store: LedgerStore, database: Database, auth: FakeAuth, ada: str
) -> None:
    services = [CoinService(ledger) for ledger in several(database, auth, 4)]
    moved = await asyncio.gather(
        *(services[n % 4].deduct(ada, 60, reason=None, request=new_request(ada, "k")) for n in range(16))
    )
    assert len({each.entry.id for each in moved}) == 1
    assert sum(not each.replayed for each in moved) == 1
    assert (await chain(database, ada))[-1].balance == 40


async def test_wallet_opens_once(store: LedgerStore, database: Database, auth: FakeAuth, ada: str) -> None:
    lasts = await asyncio.gather(*(ledger.last(ada) for ledger in several(database, auth, 8) for _ in range(4)))
    assert {last.balance for last in lasts} == {100}
    assert len(await chain(database, ada)) == 1


async def test_daily_limit_is_exact_in_parallel(
    store: LedgerStore, database: Database, auth: FakeAuth, ada: str
) -> None:
    rules = {"ad_watch": EarnRule(max_amount=10, cooldown_seconds=0, daily_limit=95)}
    services = [EarningService(ledger, rules) for ledger in several(database, auth, 4)]
    outcomes = await asyncio.gather(
        *(services[n % 4].earn(ada, 10, source="ad_watch", request=new_request(ada)) for n in range(16)),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, EarnLimitReachedError) for outcome in outcomes) == 7
    entries = await chain(database, ada)
    assert_sound(entries)
    assert entries[-1].balance == 190


async def test_cooldown_lets_one_in(store: LedgerStore, database: Database, auth: FakeAuth, ada: str) -> None:
    rules = {"ad_watch": EarnRule(max_amount=10, cooldown_seconds=30, daily_limit=100)}
    services = [EarningService(ledger, rules) for ledger in several(database, auth, 4)]
    outcomes = await asyncio.gather(
        *(services[n % 4].earn(ada, 10, source="ad_watch", request=new_request(ada)) for n in range(12)),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, EarnLimitReachedError) for outcome in outcomes) == 11
    assert (await chain(database, ada))[-1].balance == 110


class Wire:
    """The entries collection behind a network that loses things; everything else is the real one."""

    def __init__(self, database: Database) -> None:
        self._real = database["entries"]
        self.before_insert: list[Callable[[], Awaitable[object]]] = []
        self.before_read: list[Callable[[], Awaitable[object]]] = []
        self.lost_answers = 0
        self.lost_inserts = 0
        self.lost_reads = 0

    def __getitem__(self, _: str) -> "Wire":
        return self

    def find(self, query: Any) -> Any:
        return self._real.find(query)

    async def find_one(self, *arguments: Any, **options: Any) -> Any:
        if self.before_read:
            await self.before_read.pop(0)()
        if self.lost_reads:
            self.lost_reads -= 1
            raise BROKEN("read lost")
        return await self._real.find_one(*arguments, **options)

    async def insert_one(self, document: Any) -> Any:
        if self.before_insert:
            await self.before_insert.pop(0)()
        if self.lost_inserts:
            self.lost_inserts -= 1
            raise BROKEN("insert lost")
        result = await self._real.insert_one(document)
        if self.lost_answers:
            self.lost_answers -= 1
            raise BROKEN("answer lost")
        return result


@pytest.fixture
def wire(store: LedgerStore, database: Database) -> Wire:
    return Wire(database)


@pytest.fixture
def shaky(wire: Wire, auth: FakeAuth) -> CoinService:
    return CoinService(Ledger(LedgerStore(wire), auth.client(), signup_bonus_coins=100))  # type: ignore[arg-type]


@pytest.mark.parametrize("key", ["k", None])
async def test_lost_answers_and_inserts_move_once(
    shaky: CoinService, wire: Wire, coins: CoinService, database: Database, ada: str, key: str | None
) -> None:
    await coins.last(ada)
    request = new_request(ada, key)
    wire.lost_answers, wire.lost_reads = 1, 1
    moved = await shaky.deduct(ada, 60, reason=None, request=request)
    assert (moved.replayed, moved.entry.balance) == (False, 40)  # not taken for a refused repeat of itself
    wire.lost_inserts, wire.lost_answers = 2, 1
    await shaky.deduct(ada, 40, reason=None, request=new_request(ada))
    entries = await chain(database, ada)
    assert_sound(entries)
    assert [entry.amount for entry in entries] == [100, 60, 40]


async def test_entry_that_comes_between_is_seen(
    shaky: CoinService, wire: Wire, coins: CoinService, database: Database, ada: str
) -> None:
    await coins.last(ada)

    async def spend() -> None:
        await coins.deduct(ada, 50, reason=None, request=new_request(ada))

    wire.before_insert = [spend]
    with pytest.raises(InsufficientCoinsError) as refused:
        await shaky.deduct(ada, 60, reason=None, request=new_request(ada))
    assert refused.value.details == {"required": 60, "balance": 50}
    assert_sound(await chain(database, ada))


@pytest.mark.parametrize("end", ["capture", "void"])
async def test_hold_that_ends_between_two_reads(
    wire: Wire, auth: FakeAuth, holds: HoldService, database: Database, ada: str, end: str
) -> None:
    store = LedgerStore(wire)  # type: ignore[arg-type]
    other = HoldService(Ledger(store, auth.client(), signup_bonus_coins=100))
    await holds.hold(ada, 40, key="g1")
    wire.before_read = [
        lambda: holds.void(ada, key="g1") if end == "capture" else holds.capture(ada, 40, key="g1", reference=None)
    ]
    with pytest.raises(HoldResolvedError):
        await (other.capture(ada, 40, key="g1", reference=None) if end == "capture" else other.void(ada, key="g1"))
    assert_sound(await chain(database, ada))


async def test_what_stays_unknown_is_said_to_be_unknown(
    wire: Wire, auth: FakeAuth, coins: CoinService, ada: str
) -> None:
    store = LedgerStore(wire)  # type: ignore[arg-type]
    hasty = CoinService(Ledger(store, auth.client(), signup_bonus_coins=100, move_seconds=0.3))
    await coins.last(ada)
    wire.lost_reads = 1_000_000
    with pytest.raises(ServiceUnavailableError):
        await hasty.deduct(ada, 1, reason=None, request=new_request(ada))
    wire.lost_reads, wire.lost_inserts = 0, 1_000_000
    with pytest.raises(UpstreamTimeoutError):
        await hasty.deduct(ada, 1, reason=None, request=new_request(ada))
    assert (await coins.last(ada)).balance == 100


def entry_after(last: Entry, **changes: Any) -> Entry:
    draft = Draft(kind="debit", type="deduct", key=f"test:{new_id()}", amount=1)
    return Entry.following(last, draft, entry_id=new_id(), user_id=last.user_id).model_copy(update=changes)


@pytest.mark.parametrize(
    "wrong", [{"balance": -1}, {"held": -1}, {"amount": -5}, {"kind": "gift"}, {"type": "gift"}, {"user_id": "me"}]
)
async def test_database_refuses_what_the_code_must_not_write(
    ledger: Ledger, store: LedgerStore, ada: str, wrong: dict[str, Any]
) -> None:
    last = await ledger.last(ada)
    with pytest.raises(Exception, match="Document failed validation"):
        await store.append(entry_after(last, **wrong))
    assert await store.append(entry_after(last))


async def test_numbers_are_stored_as_64_bits(ledger: Ledger, database: Database, ada: str) -> None:
    last = await ledger.last(ada)
    await database["entries"].insert_one(to_document(entry_after(last, balance=2**40)))
    types = (
        await database["entries"]
        .aggregate(
            [{"$match": {"seq": 2}}, {"$project": {name: {"$type": f"${name}"} for name in ("seq", "balance", "held")}}]
        )
        .to_list(1)
    )
    assert {types[0][name] for name in ("seq", "balance", "held")} == {"long"}
    with pytest.raises(Exception, match="Document failed validation"):
        await database["entries"].insert_one(to_document(entry_after(last)) | {"seq": 3})


async def test_unique_indexes(ledger: Ledger, store: LedgerStore, database: Database, ada: str, bob: str) -> None:
    last, other = await ledger.last(ada), await ledger.last(bob)
    assert await store.append(entry_after(last, resolves="h", payment_id="stripe:pi_1"))
    assert not await store.append(entry_after(last))
    assert not await store.append(entry_after(other, resolves="h"))
    assert not await store.append(entry_after(other, payment_id="stripe:pi_1"))
    assert not await store.append(entry_after(other, key=last.key))
    with pytest.raises(DuplicateKeyError):
        await database["entries"].insert_one(to_document(last))
    await store.ensure_schema()
    assert [entry.seq for entry in await chain(database, ada)] == [1, 2]
    assert all(later.seq == earlier.seq + 1 for earlier, later in pairwise(await chain(database, ada)))
