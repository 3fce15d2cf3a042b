"""The audit adds up what was earned today, from which the day's limits are computed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from coin_service.earning import EarningService
from coin_service.ledger import Ledger, Request
from coin_service.service import CoinService
from coin_service.settings import EarnRule
from coin_service.testing.auditing import audit
from common.mongo import Database, Int64

START = datetime(2026, 5, 4, 23, 0, tzinfo=UTC)
RULES = {name: EarnRule(max_amount=10, cooldown_seconds=0, daily_limit=50) for name in ("ad_watch", "quiz")}


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest_asyncio.fixture(autouse=True)
async def fill(ledger: Ledger, ada: str) -> None:
    """Bonus, ads of 10 and 4, quiz of 3, the callback of the first ad, deduct; a day later a quiz of 5."""
    clock = Clock()
    earning = EarningService(ledger, RULES, now=clock)
    for source, coins in (("ad_watch", 10), ("ad_watch", 4), ("quiz", 3)):
        await earning.earn(ada, coins, source=source, request=Request.of(ada, None, "f"))
    await earning.confirm_ad(ada, 10, transaction_id="t1")
    await CoinService(ledger).deduct(ada, 5, reason=None, request=Request.of(ada, None, "f"))
    clock.now += timedelta(hours=2)
    await earning.earn(ada, 5, source="quiz", request=Request.of(ada, None, "f"))


AD_1, AD_2, QUIZ, CALLBACK, DEDUCT, NEXT_DAY = range(2, 8)


async def test_sound_days(database: Database) -> None:
    assert (await audit(database)).faults == []
    last = await database["entries"].find_one({"seq": NEXT_DAY})
    assert last is not None
    assert {name: (each["day"], each["coins"]) for name, each in last["earned"].items()} == {
        "ad_watch": ("2026-05-04", 14),
        "quiz": ("2026-05-05", 5),
    }


@pytest.mark.parametrize(
    ("seq", "update", "expected"),
    [
        (AD_2, {"$set": {"earned.ad_watch.coins": Int64(4)}}, [AD_2]),
        (NEXT_DAY, {"$set": {"earned.quiz.coins": Int64(8)}}, [NEXT_DAY]),
        (NEXT_DAY, {"$set": {"earned.quiz.day": "2026-05-03"}}, [NEXT_DAY]),
        (DEDUCT, {"$unset": {"earned.ad_watch": 1}}, [DEDUCT]),
        (DEDUCT, {"$set": {"earned": {}}}, [DEDUCT, DEDUCT]),
        (CALLBACK, {"$set": {"earned.ad_watch.day": "2026-05-05"}}, [CALLBACK]),
        (QUIZ, {"$set": {"source": "ad_watch"}}, [QUIZ, QUIZ]),
    ],
)
async def test_entry_whose_day_was_changed_is_named(
    database: Database, seq: int, update: dict[str, Any], expected: list[int]
) -> None:
    await database["entries"].update_one({"seq": seq}, update, bypass_document_validation=True)
    found = await audit(database)
    assert found.places == [("earned", seq) for seq in expected], found.faults
