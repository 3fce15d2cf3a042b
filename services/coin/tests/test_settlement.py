"""What the vendor says of a payment is in the wallet once, whatever came before it, after it or at the same time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coin_service.checkouts import CheckoutStore
from coin_service.holds import HoldService
from coin_service.inbox_worker import PostponedError, UnusableMessageError
from coin_service.ledger import Ledger, Request
from coin_service.models import Draft, Entry
from coin_service.prices import Prices
from coin_service.promises import Promises
from coin_service.providers import Standing
from coin_service.service import CoinService
from coin_service.settlement import SettlementService
from coin_service.store import LedgerStore, from_document
from coin_service.testing.auditing import audit
from common.clients.coin import InsufficientCoinsError
from common.mongo import Database, new_id
from common.testing.auth import FakeAuth

NAME = "pi_3PabcDEFghij"
PAYMENT = f"stripe:{NAME.lower()}"


def standing(user_id: str | None, **other: object) -> Standing:
    """A payment of 100 coins at 1 each, if nothing else is said."""
    values: dict[str, Any] = {"completed": True, "returned": 0, "currency": "usd", "user_id": user_id, **other}
    coins = values.setdefault("coins", 100 if user_id else None)
    values.setdefault("paid", coins if isinstance(coins, int) else 100)
    values["coins"] = None if coins is None else str(coins)
    return Standing(values.pop("transaction_id", NAME), **values)


def says(found: Standing) -> Callable[[], Awaitable[Standing]]:
    async def look() -> Standing:
        return found

    return look


def several(database: Database, auth: FakeAuth, count: int) -> list[SettlementService]:
    """As many processes: nothing but the database between them."""
    prices = Prices(currency="usd", minor_units_per_coin=1)
    return [
        SettlementService(
            Ledger(LedgerStore(database), auth.client(), signup_bonus_coins=100),
            Promises(CheckoutStore(database), prices),
        )
        for _ in range(count)
    ]


@pytest.fixture
def settlement(store: LedgerStore, database: Database, auth: FakeAuth) -> SettlementService:
    return several(database, auth, 1)[0]


async def chain(database: Database, user_id: str) -> list[Entry]:
    documents = await database["entries"].find({"user_id": user_id}).sort("seq", 1).to_list(1000)
    entries = [from_document(document) for document in documents]
    balance = debt = 0
    for entry in entries:
        balance += entry.balance_change
        debt += entry.debt_change
        assert (entry.balance, entry.debt) == (balance, debt)
        assert min(balance, debt) >= 0
    assert entries[-1].total == sum(entry.signed_amount for entry in entries if entry.type is not None)
    assert not entries[-1].pays_debt
    assert (await audit(database)).faults == []
    return entries


def lines(entries: list[Entry]) -> list[tuple[str, int]]:
    return [(entry.type, entry.signed_amount) for entry in entries if entry.type is not None]


async def spend(coins: CoinService, user_id: str, amount: int) -> None:
    await coins.deduct(user_id, amount, reason=None, request=Request.of(user_id, None, "f"))


async def test_processes_at_once_credit_and_take_back_once(
    store: LedgerStore, database: Database, auth: FakeAuth, ada: str
) -> None:
    processes = several(database, auth, 4)
    await asyncio.gather(*(each.settle(PAYMENT, "stripe", says(standing(ada))) for each in processes * 2))
    assert lines(await chain(database, ada)) == [("bonus", 100), ("buy", 100)]
    refunded = says(standing(ada, returned=100))
    await asyncio.gather(*(each.settle(PAYMENT, "stripe", refunded) for each in processes * 2))
    assert lines(await chain(database, ada)) == [("bonus", 100), ("buy", 100), ("clawback", -100)]


async def test_what_was_spent_is_owed_and_the_next_coins_pay_it(
    settlement: SettlementService, coins: CoinService, database: Database, ada: str
) -> None:
    await settlement.settle(PAYMENT, "stripe", says(standing(ada)))
    await spend(coins, ada, 150)
    await settlement.settle(PAYMENT, "stripe", says(standing(ada, returned=100)))
    last = (await chain(database, ada))[-1]
    assert (last.balance, last.debt) == (0, 50)
    with pytest.raises(InsufficientCoinsError):
        await spend(coins, ada, 1)

    second = standing(ada, coins=30, transaction_id="pi_second00")
    await settlement.settle("stripe:pi_second00", "stripe", says(second))
    assert ((await coins.last(ada)).balance, (await coins.last(ada)).debt) == (0, 20)
    third = standing(ada, coins=70, transaction_id="pi_third000")
    await settlement.settle("stripe:pi_third000", "stripe", says(third))
    assert ((await coins.last(ada)).balance, (await coins.last(ada)).debt) == (50, 0)
    paid = [("buy", 30), ("clawback", -30), ("buy", 70), ("clawback", -20)]
    assert lines(await chain(database, ada))[-4:] == paid


async def test_each_partial_refund_takes_only_the_difference(
    settlement: SettlementService, database: Database, ada: str
) -> None:
    for returned in (0, 33, 33, 66, 99, 100, 100):
        await settlement.settle(PAYMENT, "stripe", says(standing(ada, coins=10, paid=100, returned=returned)))
    taken = [amount for type_, amount in lines(await chain(database, ada)) if type_ == "clawback"]
    assert taken == [-3, -3, -3, -1]


async def test_refund_that_failed_gives_the_coins_again(
    settlement: SettlementService, coins: CoinService, database: Database, ada: str
) -> None:
    await settlement.settle(PAYMENT, "stripe", says(standing(ada)))
    await spend(coins, ada, 160)
    for returned in (100, 0, 100, 50):
        await settlement.settle(PAYMENT, "stripe", says(standing(ada, returned=returned)))
    last = (await chain(database, ada))[-1]
    assert (last.balance, last.debt) == (0, 10)


async def test_refund_before_the_credit_is_never_credited(
    settlement: SettlementService, database: Database, ada: str
) -> None:
    await settlement.settle(PAYMENT, "stripe", says(standing(ada, returned=100)))
    for _ in range(2):
        await settlement.settle(PAYMENT, "stripe", says(standing(ada, returned=100)))
    assert lines(await chain(database, ada)) == [("bonus", 100)]
    # The refund failed after all: now the money is here.
    await settlement.settle(PAYMENT, "stripe", says(standing(ada)))
    assert lines(await chain(database, ada)) == [("bonus", 100), ("refund", 100)]


async def test_part_that_went_back_before_the_credit(
    settlement: SettlementService, database: Database, ada: str
) -> None:
    for returned in (30, 30, 0, 100):
        await settlement.settle(PAYMENT, "stripe", says(standing(ada, returned=returned)))
    assert lines(await chain(database, ada))[1:] == [("buy", 70), ("refund", 30), ("clawback", -100)]


async def test_void_is_for_good(settlement: SettlementService, database: Database, ada: str) -> None:
    for returned in (0, 60, 20, 80):
        voided = standing(ada, returned=returned, returned_for_good=True)
        await settlement.settle(PAYMENT, "stripe", says(voided))
    assert lines(await chain(database, ada))[2:] == [("clawback", -60), ("clawback", -20)]


async def test_older_news_never_comes_after_newer(
    store: LedgerStore, database: Database, auth: FakeAuth, ada: str
) -> None:
    slow, quick = several(database, auth, 2)
    await quick.settle(PAYMENT, "stripe", says(standing(ada)))
    asked, go_on = asyncio.Event(), asyncio.Event()
    news = [standing(ada, returned=50), standing(ada, returned=100)]

    async def look() -> Standing:
        found = news.pop(0)
        asked.set()
        await go_on.wait()
        return found

    waiting = asyncio.create_task(slow.settle(PAYMENT, "stripe", look))
    await asked.wait()
    await quick.settle(PAYMENT, "stripe", says(standing(ada, returned=100)))
    go_on.set()
    await waiting
    assert not news  # the slow one saw that it was overtaken, and asked again
    assert lines(await chain(database, ada)) == [("bonus", 100), ("buy", 100), ("clawback", -100)]


async def test_debt_is_paid_by_the_next_touch_after_a_crash(
    settlement: SettlementService, store: LedgerStore, coins: CoinService, database: Database, ada: str
) -> None:
    await settlement.settle(PAYMENT, "stripe", says(standing(ada)))
    await spend(coins, ada, 200)
    await settlement.settle(PAYMENT, "stripe", says(standing(ada, returned=40)))
    last = await store.find_last(ada)
    draft = Draft(kind="credit", type="earn", key="by a process that died then", amount=100)
    assert await store.append(Entry.following(last, draft, entry_id=new_id(), user_id=ada))
    await asyncio.gather(*(coins.last(ada) for _ in range(8)))
    assert ((await coins.last(ada)).balance, (await coins.last(ada)).debt) == (60, 0)
    await chain(database, ada)


async def test_held_coins_are_not_touched(
    settlement: SettlementService, ledger: Ledger, coins: CoinService, database: Database, ada: str
) -> None:
    holds = HoldService(ledger)
    await settlement.settle(PAYMENT, "stripe", says(standing(ada)))
    await holds.hold(ada, 150, key="g1")
    await settlement.settle(PAYMENT, "stripe", says(standing(ada, returned=100)))
    last = (await chain(database, ada))[-1]
    assert (last.balance, last.held, last.debt) == (0, 150, 50)
    answered = await holds.capture(ada, 60, key="g1", reference=None)
    last = (await chain(database, ada))[-1]
    assert (last.balance, last.held, last.debt) == (40, 0, 0)
    assert answered.spendable == 40


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"coins": "ten"}, "metadata_invalid"),
        ({"coins": "0"}, "metadata_invalid"),
        ({"user_id": "ada"}, "metadata_invalid"),
        ({"paid": 99}, "amount_mismatch"),
        ({"currency": "jpy"}, "amount_mismatch"),
        ({"coins": "1000001", "paid": 2_000_000}, "amount_mismatch"),
        ({"user_id": "0" * 24}, "account_not_found"),
    ],
)
async def test_paid_for_something_else(
    settlement: SettlementService, database: Database, ada: str, change: dict[str, Any], error: str
) -> None:
    with pytest.raises(UnusableMessageError, match=error):
        await settlement.settle(PAYMENT, "stripe", says(standing(**{"user_id": ada, **change})))
    assert await database["entries"].count_documents({}) == 0


async def test_payment_without_a_name_waits_for_its_claim(
    settlement: SettlementService, database: Database, ada: str
) -> None:
    assert await settlement.settle(PAYMENT, "stripe", says(standing(None))) is None
    with pytest.raises(PostponedError):
        await settlement.settle(PAYMENT, "stripe", says(standing(None, returned=1)))
    assert await settlement.settle(PAYMENT, "stripe", says(standing(ada, completed=False, paid=0))) is None
    assert await database["entries"].count_documents({}) == 0


@given(coins=st.integers(1, 10**6), paid=st.integers(1, 10**8), parts=st.lists(st.integers(1, 10**8), max_size=5))
def test_share_of_the_coins(coins: int, paid: int, parts: list[int]) -> None:
    returned = shares = 0
    for part in parts:
        returned = min(paid, returned + part)
        share = Standing(NAME, completed=True, paid=paid, returned=returned).coins_back(coins)
        assert shares <= share <= coins
        assert (share == coins) == (returned == paid)
        shares = share
    assert Standing(NAME, completed=True, paid=paid, returned=paid).coins_back(coins) == coins
    assert Standing(NAME, completed=True, paid=paid, returned=0).coins_back(coins) == 0
