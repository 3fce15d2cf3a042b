"""The wallet: the bonus, spending, earning, and the ledger that remembers it all."""

import asyncio

import pytest

from journey.answers import data, error, page
from journey.phone import NewPhone, Phone

DEDUCT = "/api/coin/deduct"
EARN = "/api/coin/earn"
TRANSACTIONS = "/api/coin/transactions"
ENTRY_KEYS = {
    "id",
    "type",
    "amount",
    "balanceAfter",
    "source",
    "paymentMethod",
    "transactionId",
    "reason",
    "reference",
    "createdAt",
}


async def check_ledger(phone: Phone) -> None:
    """The balance is the sum of the entries, and every entry follows from the one before."""
    entries = await phone.transactions()
    balance = 0
    for entry in reversed(entries):
        assert entry.keys() == ENTRY_KEYS
        balance += entry["amount"]
        assert entry["balanceAfter"] == balance >= 0
    assert await phone.balance() == balance


async def test_a_new_wallet_holds_the_bonus(phone: Phone) -> None:
    wallet = data(await phone.get("/api/coin/balance"))

    assert wallet.keys() == {"balance", "held", "updatedAt"}
    assert (wallet["balance"], wallet["held"]) == (100, 0)


async def test_first_calls_at_once_give_one_bonus(phone: Phone) -> None:
    answers = await asyncio.gather(
        *(phone.get("/api/coin/balance") for _ in range(6)),
        *(phone.get(TRANSACTIONS) for _ in range(3)),
        *(phone.post(DEDUCT, {"amount": 1}) for _ in range(3)),
    )

    for answer in answers:
        data(answer)
    assert [(entry["type"], entry["amount"]) for entry in await phone.transactions()] == [
        *[("deduct", -1)] * 3,
        ("bonus", 100),
    ]
    await check_ledger(phone)


async def test_deducting_moves_coins_and_says_so(phone: Phone) -> None:
    content = data(await phone.post(DEDUCT, {"amount": 5, "reason": "a filter"}))

    assert content.keys() == {"transaction", "balance"}
    assert content["balance"] == 95
    transaction = content["transaction"]
    assert (transaction["type"], transaction["amount"], transaction["balanceAfter"]) == ("deduct", -5, 95)
    assert transaction["reason"] == "a filter"
    assert (await phone.transactions())[0] == transaction
    await check_ledger(phone)


async def test_too_few_coins_move_nothing(phone: Phone) -> None:
    body = error(await phone.post(DEDUCT, {"amount": 101}), 402, "insufficient_coins")

    assert body["details"] == {"required": 101, "balance": 100}
    assert await phone.balance() == 100
    await check_ledger(phone)


async def test_deducts_at_once_never_spend_a_coin_twice(phone: Phone) -> None:
    answers = await asyncio.gather(*(phone.post(DEDUCT, {"amount": 7}) for _ in range(20)))

    statuses = [answer.status_code for answer in answers]
    assert (statuses.count(200), statuses.count(402)) == (14, 6)
    assert await phone.balance() == 2
    await check_ledger(phone)


async def test_watching_an_ad_earns_coins_with_a_pause_in_between(phone: Phone) -> None:
    content = data(await phone.post(EARN, {"amount": 10, "source": "ad_watch"}))

    assert content.keys() == {"transaction", "balance", "remainingToday"}
    assert (content["balance"], content["remainingToday"]) == (110, 90)
    transaction = content["transaction"]
    assert (transaction["type"], transaction["amount"], transaction["source"]) == ("earn", 10, "ad_watch")

    refused = await phone.post(EARN, {"amount": 10, "source": "ad_watch"})
    error(refused, 429, "earn_limit_reached")
    assert 1 <= int(refused.headers["retry-after"]) <= 30
    assert await phone.balance() == 110


async def test_earning_at_once_pays_once(phone: Phone) -> None:
    answers = await asyncio.gather(*(phone.post(EARN, {"amount": 10, "source": "ad_watch"}) for _ in range(8)))

    assert sorted(answer.status_code for answer in answers) == [200] + [429] * 7
    assert await phone.balance() == 110
    await check_ledger(phone)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"amount": 11, "source": "ad_watch"}, "amount_too_large"),
        ({"amount": 1_000_000, "source": "ad_watch"}, "amount_too_large"),
        ({"amount": 10, "source": "walking_the_dog"}, "unknown_source"),
        ({"amount": 10, "source": "AD_WATCH"}, "unknown_source"),
        ({"amount": 10, "source": ""}, None),
    ],
)
async def test_what_the_rules_do_not_allow_earns_nothing(phone: Phone, body: dict[str, object], code: str) -> None:
    error(await phone.post(EARN, body), 422, code)

    assert await phone.balance() == 100


async def test_entries_can_be_picked_by_type(phone: Phone) -> None:
    data(await phone.post(EARN, {"amount": 10, "source": "ad_watch"}))
    data(await phone.post(DEDUCT, {"amount": 5}))

    for kind, amounts in {"bonus": [100], "earn": [10], "deduct": [-5], "buy": []}.items():
        entries, pagination = page(await phone.get(TRANSACTIONS, type=kind), "transactions")
        assert [entry["amount"] for entry in entries] == amounts
        assert pagination["total"] == len(amounts)
    error(await phone.get(TRANSACTIONS, type="theft"), 422, "validation_failed")


async def test_nobody_reads_anothers_ledger(new_phone: NewPhone) -> None:
    ada, bob = await new_phone(), await new_phone()
    data(await bob.post(DEDUCT, {"amount": 42, "reason": "bob's own"}))

    for query in ({"userId": bob.account.id}, {"user_id": bob.account.id}, {"userId[$ne]": ada.account.id}):
        entries, _ = page(await ada.get(TRANSACTIONS, **query), "transactions")
        assert [entry["type"] for entry in entries] == ["bonus"]
