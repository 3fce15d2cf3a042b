"""The audit adds every wallet up again and names the entry that is wrong."""

import random
from contextlib import suppress
from typing import Any

import pytest

from coin_service.audit.auditor import Auditor
from coin_service.audit.report import LISTED_HOLDS, Report
from coin_service.audit.scan import LedgerScan
from coin_service.holds import HoldService, hold_key
from coin_service.ledger import Ledger, Request
from coin_service.service import CoinService
from coin_service.testing.auditing import audit, credit
from common.clock import utc_now
from common.errors import ServiceError
from common.mongo import Database, Int64


async def fill(ledger: Ledger, user_id: str) -> None:
    """Bonus, deduct, hold 1, capture of a part, purchase, hold 2, void, a late void, deduct, hold 3 that stays open."""
    coins, holds = CoinService(ledger), HoldService(ledger)
    await coins.deduct(user_id, 5, reason=None, request=Request.of(user_id, None, "f"))
    await holds.hold(user_id, 40, key="generation:1")
    await holds.capture(user_id, 30, key="generation:1", reference="1")
    await credit(ledger, user_id, f"stripe:pi_{user_id}")
    await holds.hold(user_id, 20, key="generation:2")
    await holds.void(user_id, key="generation:2")
    await holds.void(user_id, key="generation:never")
    await coins.deduct(user_id, 7, reason=None, request=Request.of(user_id, None, "f"))
    await holds.hold(user_id, 10, key="generation:3")


HOLD_1, CAPTURE_1, BUY, HOLD_2, VOID_2, LATE_VOID, DEDUCT, HOLD_3 = range(3, 11)
"""Numbers of the entries that ``fill`` makes."""


async def test_sound_wallets_are_clean_and_open_holds_are_told(
    ledger: Ledger, database: Database, ada: str, bob: str
) -> None:
    for user_id in (ada, bob):
        await fill(ledger, user_id)
    found = await audit(database)
    assert found.faults == []
    report = found.report
    assert (report.wallets, report.entries, report.coins) == (2, 20, 2 * 158)
    assert (report.open_holds, report.held_coins) == (2, 20)
    assert [(hold.user_id, hold.name, hold.coins) for hold in report.oldest_holds] == [
        (ada, "generation:3", 10),
        (bob, "generation:3", 10),
    ]
    assert 0 <= report.oldest_holds[0].age_seconds(utc_now()) < 60


async def test_an_empty_ledger_is_sound(ledger: Ledger, database: Database) -> None:
    found = await audit(database)
    assert (found.faults, found.report) == ([], Report())


async def test_random_work_is_sound(ledger: Ledger, database: Database, ada: str) -> None:
    chance = random.Random(7)
    coins, holds = CoinService(ledger), HoldService(ledger)
    for number in range(120):
        key = f"generation:{chance.randrange(30)}"
        with suppress(ServiceError):  # refusals are part of it
            match chance.randrange(5):
                case 0:
                    await coins.deduct(ada, 3, reason=None, request=Request.of(ada, None, "f"))
                case 1:
                    await holds.hold(ada, 1 + chance.randrange(9), key=key)
                case 2:
                    await holds.capture(ada, 1, key=key, reference=None)
                case 3:
                    await holds.void(ada, key=key)
                case _:
                    await credit(ledger, ada, f"stripe:pi_{number}")
    assert (await audit(database)).faults == []


Corruption = dict[str, Any]


@pytest.mark.parametrize(
    ("seq", "update", "expected"),
    [
        (BUY, {"$inc": {"balance": Int64(1)}}, [("balance", BUY)]),
        (HOLD_3, {"$inc": {"balance": Int64(1)}}, [("balance", HOLD_3), ("sum", HOLD_3)]),
        (HOLD_3, {"$set": {"balance": Int64(-1)}}, [("balance", HOLD_3), ("balance", HOLD_3), ("sum", HOLD_3)]),
        (DEDUCT, {"$inc": {"debt": Int64(4)}}, [("debt", DEDUCT)]),
        (DEDUCT, {"$inc": {"debt_change": Int64(4)}}, [("debt", DEDUCT)]),
        (DEDUCT, {"$set": {"debt_change": 0.5}}, [("shape", DEDUCT)]),
        (HOLD_2, {"$inc": {"held": Int64(5)}}, [("held", HOLD_2)]),
        (HOLD_3, {"$inc": {"held": Int64(5)}}, [("held", HOLD_3), ("sum", HOLD_3), ("sum", HOLD_3)]),
        (DEDUCT, {"$inc": {"amount": Int64(3)}}, [("balance", DEDUCT), ("sum", HOLD_3)]),
        (DEDUCT, {"$set": {"kind": "credit"}}, [("balance", DEDUCT), ("sum", HOLD_3)]),
        (DEDUCT, {"$set": {"kind": "gift"}}, [("shape", DEDUCT), ("balance", DEDUCT)]),
        (DEDUCT, {"$set": {"balance": 123.0}}, [("shape", DEDUCT), ("balance", DEDUCT)]),
        (DEDUCT, {"$unset": {"held": 1}}, [("shape", DEDUCT)]),
        (DEDUCT, {"$set": {"counts.deduct": Int64(7)}}, [("counts", DEDUCT)]),
        (DEDUCT, {"$set": {"position": Int64(2)}}, [("position", DEDUCT)]),
        (DEDUCT, {"$set": {"type_position": Int64(9)}}, [("position", DEDUCT)]),
        (HOLD_2, {"$set": {"position": Int64(4)}}, [("listing", HOLD_2)]),
        (HOLD_2, {"$set": {"released": Int64(4)}}, [("amount", HOLD_2)]),
        (CAPTURE_1, {"$set": {"resolves": "nothing"}}, [("hold", CAPTURE_1), ("sum", HOLD_3)]),
        (LATE_VOID, {"$set": {"amount": Int64(4)}}, [("hold", LATE_VOID), ("balance", LATE_VOID), ("held", LATE_VOID)]),
        (BUY, {"$unset": {"payment_id": 1}}, [("payment", BUY)]),
        (BUY, {"$set": {"payment_method": "google_play"}}, [("payment", BUY)]),
    ],
)
async def test_an_entry_that_was_changed_is_named(
    ledger: Ledger, database: Database, ada: str, bob: str, seq: int, update: Corruption, expected: list[Any]
) -> None:
    for user_id in (ada, bob):
        await fill(ledger, user_id)
    await database.command("collMod", "entries", validator={})
    done = await database["entries"].find_one_and_update({"user_id": bob, "seq": seq}, update)
    assert done is not None
    found = await audit(database)
    assert found.places == expected
    assert {fault.user_id for fault in found.faults} == {bob}
    assert str(found.faults[0]).startswith(f"wallet {bob} entry {seq} id {done['_id']}: {expected[0][0]}: ")


async def test_a_capture_of_another_amount_is_told(ledger: Ledger, database: Database, ada: str) -> None:
    await fill(ledger, ada)
    entries = database["entries"]
    # Consistent in itself: more was taken than set aside, and the state after it says so.
    await entries.update_one({"seq": CAPTURE_1}, {"$inc": {"amount": Int64(10)}}, bypass_document_validation=True)
    places = (await audit(database)).places
    assert places[:2] == [("hold", CAPTURE_1), ("held", CAPTURE_1)]


async def test_missing_and_repeated_entries_are_told(ledger: Ledger, database: Database, ada: str) -> None:
    await fill(ledger, ada)
    await database["entries"].delete_one({"seq": DEDUCT})
    found = await audit(database)
    assert found.places == [("sequence", HOLD_3), ("sum", HOLD_3)]
    assert found.faults[0].message == f"number {DEDUCT} is expected here"


async def test_a_hold_that_was_removed_leaves_its_end_alone(ledger: Ledger, database: Database, ada: str) -> None:
    await fill(ledger, ada)
    await database["entries"].delete_one({"seq": HOLD_2})
    assert (await audit(database)).places == [("sequence", VOID_2), ("hold", VOID_2)]


@pytest.mark.parametrize(
    ("index", "field"), [("key", "key"), ("resolves", "resolves"), ("payment", "payment_id"), ("wallet", "seq")]
)
async def test_what_a_lost_index_let_in_is_told(
    ledger: Ledger, database: Database, ada: str, bob: str, index: str, field: str
) -> None:
    for user_id in (ada, bob):
        await fill(ledger, user_id)
    entries = database["entries"]
    await entries.drop_index(index)
    found = await audit(database)
    assert [fault.rule for fault in found.faults] == ["index"]

    seq = {"key": DEDUCT, "resolves": VOID_2, "payment_id": BUY, "seq": DEDUCT}[field]
    first, second = [await entries.find_one({"user_id": user_id, "seq": seq}) for user_id in (ada, bob)]
    assert first is not None
    assert second is not None
    value = Int64(seq - 1) if field == "seq" else first[field]
    await entries.update_one({"_id": second["_id"]}, {"$set": {field: value}}, bypass_document_validation=True)
    found = await audit(database)
    if field == "seq":
        assert [(fault.rule, fault.user_id, fault.seq) for fault in found.faults[1:]] == [
            ("sequence", bob, seq - 1),
            ("sequence", bob, seq + 1),
        ]
    else:
        unique = [(fault.user_id, fault.seq) for fault in found.faults if fault.rule == "unique"]
        assert sorted(unique) == sorted([(ada, seq), (bob, seq)])


async def test_an_index_that_is_not_unique_any_more_is_told(ledger: Ledger, database: Database, ada: str) -> None:
    await ledger.last(ada)
    await database["entries"].drop_index("key")
    await database["entries"].create_index("key", name="key")
    assert [fault.rule for fault in (await audit(database)).faults] == ["index"]


async def test_only_the_oldest_holds_are_kept(ledger: Ledger, database: Database, ada: str) -> None:
    holds = HoldService(ledger)
    await credit(ledger, ada, "stripe:pi_1", amount=1000)
    count = 2 * LISTED_HOLDS + 5
    for number in range(count):
        await holds.hold(ada, 1, key=f"generation:{number}")
    report = (await audit(database)).report
    assert (report.open_holds, report.held_coins, len(report.oldest_holds)) == (count, count, LISTED_HOLDS)
    assert report.oldest_holds[0].key == hold_key(ada, "generation:0")
    moments = [hold.created_at for hold in report.oldest_holds]
    assert moments == sorted(moments)


async def test_a_batch_never_ends_a_wallet(
    ledger: Ledger, database: Database, ada: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coin_service.audit.scan.BATCH_ENTRIES", 3)
    await fill(ledger, ada)
    seen: list[int] = []

    async def on_batch(far: Report) -> None:
        seen.append(far.entries)

    report = await Auditor(LedgerScan(database), lambda _: None, share=0.9, on_batch=on_batch).run()
    assert (report.faults, report.wallets, seen) == (0, 1, [3, 6, 9, 10])
