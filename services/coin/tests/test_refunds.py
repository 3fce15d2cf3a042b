"""What a capture took can be given back, once and never more than that; over the internal route and the real client."""

import asyncio
import random
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from coin_service.holds import HoldService
from coin_service.ledger import Ledger
from coin_service.models import Draft
from coin_service.refunds import RefundService
from coin_service.store import LedgerStore
from coin_service.testing.auditing import audit
from common.clients.coin import (
    CoinClient,
    HoldNotCapturedError,
    HoldNotFoundError,
    HoldResolvedError,
    RefundTooLargeError,
)
from common.errors import IdempotencyKeyReusedError, UpstreamError
from common.mongo import Database, Int64
from common.service_auth import ServiceTokenSigner
from common.testing import TEST_SECRETS, user_headers
from common.testing.auth import FakeAuth


@pytest_asyncio.fixture
async def wallet(client: httpx.AsyncClient) -> AsyncIterator[CoinClient]:
    """The coin service as image sees it."""
    yield CoinClient(client, ServiceTokenSigner(TEST_SECRETS["service_secret"], caller="image"))


@pytest_asyncio.fixture
async def captured(holds: HoldService, ada: str) -> str:
    """A hold of 40 coins of which 30 were taken; its key."""
    await holds.hold(ada, 40, key="g1")
    await holds.capture(ada, 30, key="g1", reference="generation-1")
    return "g1"


async def test_parts_add_up_to_the_capture(
    wallet: CoinClient, client: httpx.AsyncClient, database: Database, ada: str, captured: str
) -> None:
    assert (await wallet.refund(ada, 10, hold_key=captured, key="r1")).balance == 80
    assert (await wallet.refund(ada, 15, hold_key=captured, key="r2")).balance == 95
    with pytest.raises(RefundTooLargeError) as refused:
        await wallet.refund(ada, 6, hold_key=captured, key="r3")
    assert refused.value.details == {"captured": 30, "refunded": 25}
    assert (await wallet.refund(ada, 5, hold_key=captured, key="r3")).balance == 100
    lines = (await client.get("/api/coin/transactions", headers=user_headers(ada))).json()["data"]["transactions"]
    assert [(line["type"], line["amount"], line["reference"]) for line in lines[:4]] == [
        ("refund", 5, "generation-1"),
        ("refund", 15, "generation-1"),
        ("refund", 10, "generation-1"),
        ("generate", -30, "generation-1"),
    ]
    assert (await audit(database)).places == []


async def test_it_may_be_repeated_under_its_key(wallet: CoinClient, ada: str, captured: str) -> None:
    for _ in range(3):
        assert (await wallet.refund(ada, 30, hold_key=captured, key="r1")).balance == 100
    with pytest.raises(UpstreamError):  # 422: a caller that does this is broken
        await wallet.refund(ada, 29, hold_key=captured, key="r1")


async def test_key_belongs_to_one_hold(holds: HoldService, ledger: Ledger, ada: str, captured: str) -> None:
    await holds.hold(ada, 10, key="g2")
    await holds.capture(ada, 10, key="g2", reference=None)
    refunds = RefundService(ledger)
    await refunds.refund(ada, 10, hold_key="g2", key="r1")
    with pytest.raises(IdempotencyKeyReusedError):
        await refunds.refund(ada, 10, hold_key=captured, key="r1")


async def test_only_what_was_taken(
    wallet: CoinClient, holds: HoldService, ada: str, bob: str, captured: str, database: Database
) -> None:
    await holds.hold(ada, 10, key="open")
    await holds.hold(ada, 10, key="void")
    await holds.void(ada, key="void")
    await holds.void(ada, key="never came")
    for user_id, key, error in (
        (ada, "unknown", HoldNotFoundError),
        (bob, captured, HoldNotFoundError),
        ("f" * 24, captured, HoldNotFoundError),
        (ada, "open", HoldNotCapturedError),
        (ada, "void", HoldResolvedError),
        (ada, "never came", HoldResolvedError),
    ):
        with pytest.raises(error):
            await wallet.refund(user_id, 1, hold_key=key, key="r")
    assert await database["entries"].count_documents({"type": "refund"}) == 0
    await holds.capture(ada, 10, key="open", reference=None)
    assert (await wallet.refund(ada, 10, hold_key="open", key="r")).balance == 70


async def test_processes_at_once_never_give_back_more(
    store: LedgerStore, database: Database, auth: FakeAuth, holds: HoldService, ada: str
) -> None:
    chance = random.Random(3)
    processes = [RefundService(Ledger(LedgerStore(database), auth.client(), signup_bonus_coins=100)) for _ in range(4)]
    for number in range(3):
        await holds.hold(ada, 30, key=f"g{number}")
        await holds.capture(ada, 30, key=f"g{number}", reference=None)
        calls = [
            each.refund(ada, 1 + key % 7, hold_key=f"g{number}", key=f"{number}:{key}")
            for key in chance.sample(range(16), 16)
            for each in chance.sample(processes, 2)
        ]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        unexpected = [
            outcome
            for outcome in outcomes
            if isinstance(outcome, BaseException) and not isinstance(outcome, RefundTooLargeError)
        ]
        assert unexpected == []
        last = await store.find_last(ada)
        given = await store.find_last_refund(f"{ada}:hold:g{number}")
        assert last is not None
        assert given is not None
        assert 24 <= (given.refunded or 0) <= 30
    assert (await audit(database)).places == []


async def test_stale_refund_is_let_in_by_no_chance(
    store: LedgerStore, ledger: Ledger, holds: HoldService, ada: str, captured: str
) -> None:
    """Both were computed from no refund before; the second has even seen the wallet after the first."""
    drafts = [
        Draft(
            kind="credit",
            type="refund",
            key=f"r{number}",
            amount=20 + number,
            refunds=f"{ada}:hold:{captured}",
            refund_number=1,
            refunded=20 + number,
        )
        for number in range(2)
    ]
    again = iter([None, "stop"])

    async def find_done() -> None:
        if next(again) == "stop":
            raise HoldResolvedError

    await ledger.move(ada, lambda _: drafts[0], find_done)
    with pytest.raises(HoldResolvedError):
        await ledger.move(ada, lambda _: drafts[1], find_done, look_first=True)
    assert await store.find_by_key("r1") is None


async def test_debt_is_paid_from_it(
    wallet: CoinClient, ledger: Ledger, database: Database, ada: str, captured: str
) -> None:
    async def find_done() -> None:
        return None

    first = Draft(kind="note", key="n", amount=0, payment_id="stripe:pi_1", taken_back=0)
    await ledger.move(ada, lambda _: first, find_done)
    owing = Draft(kind="debit", type="clawback", key="c", amount=70, debt_change=20)
    await ledger.move(ada, lambda _: owing, find_done)
    assert (await wallet.refund(ada, 30, hold_key=captured, key="r")).balance == 10
    assert (await audit(database)).places == []


@pytest.mark.parametrize(
    ("seq", "update", "expected"),
    [
        (4, {"$set": {"refunded": Int64(9)}}, [("refund", 4)]),
        (5, {"$set": {"refund_number": Int64(3)}}, [("refund", 5)]),
        (4, {"$set": {"refunds": "nothing"}}, [("refund", 5), ("refund", 4)]),
        (
            3,
            {"$inc": {"amount": Int64(-20), "released": Int64(20)}},
            [("balance", 3), ("refund", 4), ("refund", 5), ("sum", 5)],
        ),
        (5, {"$set": {"type": "earn"}}, [("refund", 5), ("counts", 5), ("position", 5)]),
        (5, {"$unset": {"refunds": 1, "refund_number": 1, "refunded": 1}}, [("refund", 5)]),
    ],
)
async def test_audit_names_what_is_wrong(
    wallet: CoinClient,
    database: Database,
    ada: str,
    captured: str,
    seq: int,
    update: dict[str, object],
    expected: list[tuple[str, int]],
) -> None:
    for number in range(2):
        await wallet.refund(ada, 15, hold_key=captured, key=f"r{number}")
    await database["entries"].update_one({"seq": seq}, update, bypass_document_validation=True)
    found = (await audit(database)).places
    assert found[: len(expected)] == expected, found


async def test_audit_knows_what_was_captured(
    wallet: CoinClient, database: Database, ada: str, bob: str, captured: str
) -> None:
    await wallet.wallet(bob)
    await wallet.refund(ada, 30, hold_key=captured, key="r")
    entries, more = database["entries"], {"$inc": {"amount": Int64(1), "balance": Int64(1), "refunded": Int64(1)}}
    await entries.update_one({"refunds": {"$exists": True}}, more)
    assert (await audit(database)).places == [("refund", 4)]
    await entries.update_one({"seq": 3}, {"$set": {"user_id": bob}, "$unset": {"resolves": 1}})
    assert ("refund", 4) in (await audit(database)).places


async def test_audit_sees_what_a_lost_index_let_in(
    wallet: CoinClient, database: Database, ada: str, captured: str
) -> None:
    for number in range(2):
        await wallet.refund(ada, 15, hold_key=captured, key=f"r{number}")
    await database["entries"].drop_index("refunds")
    assert (await audit(database)).places == [("index", None)]
    twin = {"$set": {"refund_number": Int64(1), "refunded": Int64(15)}}
    await database["entries"].update_one({"seq": 5}, twin)
    assert (await audit(database)).places == [("index", None), ("refund", 5)]
