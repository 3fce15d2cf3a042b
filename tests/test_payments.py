"""Buying coins: every payment is looked up at Stripe, credited once, and belongs to one user."""

import asyncio
import time
from uuid import uuid4

import pytest

from journey.answers import Json, data, error
from journey.mesh import Mesh
from journey.phone import NewPhone, Phone, fresh_payment
from journey.sandbox import Sandbox

BUY = "/api/coin/buy"


def order(transaction_id: str, amount: int = 100) -> Json:
    return {"amount": amount, "paymentMethod": "stripe", "transactionId": transaction_id}


async def test_the_founding_example_buys_a_hundred_coins(mesh: Mesh, phone: Phone) -> None:
    # Somebody else may have used the example's own payment in a mesh that has run for long.
    transaction_id = "txn_1234567890" if mesh.root else fresh_payment()

    content = data(await phone.post(BUY, {"amount": 100, "paymentMethod": "stripe", "transactionId": transaction_id}))

    assert content.keys() == {"transaction", "balance"}
    assert content["balance"] == 200
    transaction = content["transaction"]
    assert (transaction["type"], transaction["amount"], transaction["balanceAfter"]) == ("buy", 100, 200)
    assert (transaction["paymentMethod"], transaction["transactionId"]) == ("stripe", transaction_id)
    assert (await phone.transactions())[0] == transaction


@pytest.mark.parametrize("prefix", ["pi", "ch", "txn"])
async def test_a_payment_may_be_named_in_any_of_stripes_ways(phone: Phone, prefix: str) -> None:
    assert data(await phone.post(BUY, order(fresh_payment(prefix=prefix))))["balance"] == 200


async def test_the_same_payment_again_is_the_first_transaction(phone: Phone) -> None:
    body = order(fresh_payment())
    first = data(await phone.post(BUY, body))
    data(await phone.post("/api/coin/deduct", {"amount": 50}))

    again = data(await phone.post(BUY, body))

    assert again["transaction"] == first["transaction"]
    assert await phone.balance() == 150


async def test_the_same_payment_at_once_is_credited_once(phone: Phone) -> None:
    body = order(fresh_payment())

    answers = await asyncio.gather(*(phone.post(BUY, body) for _ in range(6)))

    assert len({data(answer)["transaction"]["id"] for answer in answers}) == 1
    assert await phone.balance() == 200


async def test_one_payment_under_another_name_is_still_one_payment(new_phone: NewPhone) -> None:
    ada, bob = await new_phone(), await new_phone()
    key = uuid4().hex
    first = data(await ada.post(BUY, order(f"pi_{key}")))

    for prefix in ("ch", "txn"):
        assert data(await ada.post(BUY, order(f"{prefix}_{key}")))["transaction"]["id"] == first["transaction"]["id"]
        error(await bob.post(BUY, order(f"{prefix}_{key}")), 409, "payment_already_used")

    assert [await ada.balance(), await bob.balance()] == [200, 100]


async def test_a_payment_belongs_to_the_first_of_two_users(new_phone: NewPhone) -> None:
    ada, bob = await new_phone(), await new_phone()
    body = order(fresh_payment())

    answers = await asyncio.gather(ada.post(BUY, body), bob.post(BUY, body))

    assert sorted(answer.status_code for answer in answers) == [200, 409]
    error(next(answer for answer in answers if answer.status_code == 409), 409, "payment_already_used")
    assert sorted([await ada.balance(), await bob.balance()]) == [100, 200]


@pytest.mark.parametrize(
    ("markers", "status", "code"),
    [
        ("Missing", 404, "payment_not_found"),
        ("Processing", 402, "payment_not_completed"),
        ("RequiresPayment", 402, "payment_not_completed"),
        ("RequiresAction", 402, "payment_not_completed"),
        ("RequiresCapture", 402, "payment_not_completed"),
        ("Canceled", 402, "payment_not_completed"),
        ("Declined", 402, "payment_not_completed"),
        ("Refunded", 402, "payment_not_completed"),
        ("Eur", 422, "amount_mismatch"),
        ("Coins50", 422, "amount_mismatch"),
        ("Underpaid", 422, "amount_mismatch"),
        ("Error500", 502, "payment_provider_unavailable"),
        ("Error503", 502, "payment_provider_unavailable"),
        ("Error401", 502, "payment_provider_unavailable"),
        ("Error429", 502, "payment_provider_unavailable"),
    ],
)
async def test_what_was_not_paid_is_not_credited(phone: Phone, markers: str, status: int, code: str) -> None:
    error(await phone.post(BUY, order(fresh_payment(markers=markers, prefix="pi"))), status, code)

    assert await phone.balance() == 100
    assert len(await phone.transactions()) == 1


async def test_a_payment_pays_for_its_price_and_no_more(phone: Phone) -> None:
    payment = fresh_payment()
    body = error(await phone.post(BUY, order(payment, amount=200)), 422, "amount_mismatch")
    assert payment not in body["message"]

    assert data(await phone.post(BUY, order(payment)))["balance"] == 200


async def test_a_payment_that_completes_later_is_credited_then(phone: Phone, sandbox: Sandbox) -> None:
    payment = fresh_payment(prefix="pi")
    await sandbox.put_payment(payment, status="processing")
    error(await phone.post(BUY, order(payment)), 402, "payment_not_completed")

    await sandbox.put_payment(payment, status="succeeded")

    assert data(await phone.post(BUY, order(payment)))["balance"] == 200


async def test_a_payment_made_for_somebody_else_is_theirs(new_phone: NewPhone, sandbox: Sandbox) -> None:
    ada, bob = await new_phone(), await new_phone()
    payment = fresh_payment(prefix="pi")
    await sandbox.put_payment(payment, metadata={"user_id": ada.account.id})

    error(await bob.post(BUY, order(payment)), 409, "payment_already_used")

    assert data(await ada.post(BUY, order(payment)))["balance"] == 200


@pytest.mark.parametrize(
    "twist",
    [" {}", "{} ", "{}\u200b", "{}\n", "{}/", "{}?x=1", "{}%20", "../{}"],
    ids=["blank before", "blank after", "zero width", "newline", "slash", "query", "escape", "dots"],
)
async def test_a_twisted_id_is_no_second_payment(phone: Phone, twist: str) -> None:
    payment = fresh_payment()
    first = data(await phone.post(BUY, order(payment)))

    answer = await phone.post(BUY, order(twist.format(payment)))

    if answer.status_code == 200:
        assert data(answer)["transaction"]["id"] == first["transaction"]["id"]
    else:
        assert answer.status_code in (404, 422)
        error(answer, answer.status_code)
    assert await phone.balance() == 200


@pytest.mark.parametrize("transaction_id", ["", "txn_", "order-17", "txn_$ne", "cus_1234567890", "x" * 5000])
async def test_an_invented_id_is_no_payment(phone: Phone, transaction_id: str) -> None:
    answer = await phone.post(BUY, order(transaction_id))

    assert answer.status_code in (404, 422)
    error(answer, answer.status_code)
    assert await phone.balance() == 100


async def test_an_unknown_way_to_pay_is_refused(phone: Phone) -> None:
    body = {"amount": 100, "paymentMethod": "shells", "transactionId": fresh_payment()}

    error(await phone.post(BUY, body), 422, "validation_failed")


@pytest.mark.parametrize(
    "behaviour",
    [
        {"status": 500},
        {"body": "<html>not Stripe"},
        {"body": {"object": "payment_intent"}},
        {"dropAfterBytes": 20},
        {"hang": True},
    ],
    ids=["500", "garbage", "half an answer", "dropped", "hangs"],
)
async def test_when_stripe_is_away_nothing_is_lost(phone: Phone, sandbox: Sandbox, behaviour: Json) -> None:
    body = order(fresh_payment(prefix="pi"))
    await sandbox.fault("stripe", times=1000, **behaviour)
    started = time.monotonic()

    answer = await phone.post(BUY, body)

    assert time.monotonic() - started < 12
    assert answer.status_code in (502, 503, 504)
    error(answer, answer.status_code)
    assert await phone.balance() == 100
    await sandbox.reset()
    assert data(await phone.post(BUY, body))["balance"] == 200
