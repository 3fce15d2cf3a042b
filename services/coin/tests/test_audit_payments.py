"""The audit knows what was paid, ordered and taken back."""

from typing import Any

import pytest

from coin_service.ledger import Ledger, Request
from coin_service.models import Draft
from coin_service.service import CoinService
from coin_service.testing.auditing import append, audit, credit
from common.clock import utc_now
from common.mongo import Database, Int64


async def test_payments_and_entries_belong_together(ledger: Ledger, database: Database, ada: str) -> None:
    payments = database["payments"]
    await payments.insert_many(
        [
            {"_id": "google_play:good", "consumed_at": utc_now()},
            {"_id": "google_play:under-way"},
            {"_id": "google_play:lost", "consumed_at": utc_now()},
        ]
    )
    await credit(ledger, ada, "google_play:good", payment_method="google_play")
    found = await audit(database)
    assert [str(fault) for fault in found.faults] == [
        "ledger: payment: google_play:lost was consumed, and no entry credits it"
    ]


async def test_checkouts_and_entries_belong_together(ledger: Ledger, database: Database, ada: str, bob: str) -> None:
    def checkout(name: str, user_id: str, **other: Any) -> dict[str, Any]:
        return {"_id": name, "transaction_id": f"pi_{name}", "user_id": user_id, "coins": 100, **other}

    await database["checkouts"].insert_many(
        [
            checkout("Good", ada, credited_at=utc_now()),
            checkout("Unpaid", ada),
            checkout("Lost", ada, credited_at=utc_now()),
            checkout("Anothers", bob),
            checkout("Fewer", ada, coins=99),
            checkout("InPart", ada),
        ]
    )
    for name in ("Good", "Anothers", "Fewer", "Unordered"):
        await credit(ledger, ada, f"stripe:pi_{name.lower()}", transaction_id=f"pi_{name}")
    await credit(ledger, ada, "stripe:pi_inpart", transaction_id="pi_InPart", amount=60, taken_back=40)
    assert [str(fault).partition(": ")[2] for fault in (await audit(database)).faults] == [
        f"payment: pi_Anothers was ordered by {bob}, for 100 coins",
        f"payment: pi_Fewer was ordered by {ada}, for 99 coins",
        "payment: the checkout of stripe:pi_lost was credited, and no entry credits it",
    ]


async def refund(ledger: Ledger, user_id: str) -> None:
    """Bonus, purchase, deduct 150, refund: takes 50 and leaves a debt of 50; an earning of 80 pays it."""
    coins = CoinService(ledger)
    await credit(ledger, user_id, "stripe:pi_1")
    await coins.deduct(user_id, 150, reason=None, request=Request.of(user_id, None, "f"))
    taken = Draft(
        kind="debit",
        type="clawback",
        key="stripe:pi_1:after",
        amount=50,
        debt_change=50,
        adjusts="stripe:pi_1",
        taken_back=100,
    )
    assert (await append(ledger, user_id, taken)).debt == 50
    await append(ledger, user_id, Draft(kind="credit", type="earn", key="e", amount=80))


REFUND, DEBT_PAID = 4, 6


async def test_debt_is_added_up(ledger: Ledger, database: Database, ada: str) -> None:
    await refund(ledger, ada)
    found = await audit(database)
    assert (found.faults, found.report.coins, found.report.debt, found.report.entries) == ([], 30, 0, DEBT_PAID)


@pytest.mark.parametrize(
    ("seq", "update", "expected"),
    [
        (REFUND, {"$inc": {"debt": Int64(-10)}}, [("debt", REFUND)]),
        (REFUND, {"$inc": {"debt_change": Int64(-10)}}, [("clawback", REFUND), ("debt", REFUND)]),
        (REFUND, {"$set": {"taken_back": Int64(20)}}, [("clawback", REFUND)]),
        (REFUND, {"$set": {"adjusts": "stripe:pi_2"}}, [("clawback", REFUND)]),
        (DEBT_PAID, {"$set": {"debt": Int64(-1)}}, [("debt", DEBT_PAID), ("debt", DEBT_PAID)]),
    ],
)
async def test_a_wrong_debt_is_named(
    ledger: Ledger, database: Database, ada: str, seq: int, update: dict[str, Any], expected: list[Any]
) -> None:
    await refund(ledger, ada)
    await database["entries"].update_one({"seq": seq}, update, bypass_document_validation=True)
    assert (await audit(database)).places == expected


async def test_no_more_is_taken_back_than_was_bought(ledger: Ledger, database: Database, ada: str, bob: str) -> None:
    await credit(ledger, ada, "stripe:pi_1", amount=30)
    taken = Draft(
        kind="debit", type="clawback", key="c", amount=40, adjusts="stripe:pi_1", taken_back=40, payment_method="stripe"
    )
    await append(ledger, ada, taken)
    await append(ledger, bob, taken.model_copy(update={"key": "d", "amount": 10, "taken_back": 10}))
    found = await audit(database)
    assert sorted((fault.rule, fault.user_id, fault.seq) for fault in found.faults) == [
        ("clawback", ada, 3),
        ("clawback", bob, 2),
    ]
