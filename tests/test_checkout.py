"""Coins bought at Stripe without the app's last word, and coins of money that went back."""

import asyncio

import pytest

from journey.answers import Json, data, error
from journey.phone import Caller, NewPhone, Phone, fresh_payment
from journey.polling import until
from journey.sandbox import Sandbox

CHECKOUT = "/api/coin/checkout"
BUY = "/api/coin/buy"
WEBHOOK = "/api/coin/webhooks/stripe"
SUCCEEDED = "payment_intent.succeeded"
REFUNDED = "charge.refunded"


async def checked_out(phone: Phone, amount: int = 100) -> str:
    """Order coins; return the payment's id."""
    payment: str = data(await phone.post(CHECKOUT, {"amount": amount}))["transactionId"]
    return payment


async def paid(phone: Phone, sandbox: Sandbox, amount: int = 100) -> str:
    """Order coins and pay them as the phone does, at Stripe."""
    payment = await checked_out(phone, amount)
    await sandbox.put_payment(payment, status="succeeded")
    return payment


async def becomes(phone: Phone, balance: int) -> None:
    async def so() -> bool:
        return await phone.balance() == balance

    await until(so, f"the balance is {balance}")


def buy(payment: str, amount: int = 100) -> Json:
    return {"amount": amount, "paymentMethod": "stripe", "transactionId": payment}


async def test_a_checkout_paid_is_credited_by_the_webhook_alone(phone: Phone, sandbox: Sandbox) -> None:
    payment = await paid(phone, sandbox, 500)

    assert (await sandbox.webhook(SUCCEEDED, payment))["status"] == 200

    await becomes(phone, 600)
    line = (await phone.transactions())[0]
    assert (line["type"], line["amount"], line["paymentMethod"]) == ("buy", 500, "stripe")


@pytest.mark.parametrize("webhook_first", [True, False])
async def test_webhook_and_app_credit_once(phone: Phone, sandbox: Sandbox, *, webhook_first: bool) -> None:
    payment = await paid(phone, sandbox)
    if webhook_first:
        await sandbox.webhook(SUCCEEDED, payment)
        await becomes(phone, 200)
        data(await phone.post(BUY, buy(payment)))
    else:
        data(await phone.post(BUY, buy(payment)))
        sent = await sandbox.webhook(SUCCEEDED, payment, duplicate=True)
        assert sent["statuses"] == [200, 200]

    # A later payment is credited after the first one's events: by then they would have done their harm.
    await sandbox.webhook(SUCCEEDED, await paid(phone, sandbox, 50))
    await becomes(phone, 250)
    assert [line["amount"] for line in await phone.transactions()] == [50, 100, 100]


async def test_webhook_and_app_at_once_credit_once(phone: Phone, sandbox: Sandbox) -> None:
    payment = await paid(phone, sandbox)

    answers = await asyncio.gather(
        phone.post(BUY, buy(payment)),
        sandbox.webhook(SUCCEEDED, payment),
        sandbox.webhook("charge.succeeded", payment),
        sandbox.webhook(SUCCEEDED, payment, duplicate=True),
    )

    data(answers[0])
    await sandbox.webhook(SUCCEEDED, await paid(phone, sandbox, 50))
    await becomes(phone, 250)


async def test_a_checkout_is_credited_to_who_ordered_it(new_phone: NewPhone, sandbox: Sandbox) -> None:
    ada, bob = await new_phone(), await new_phone()
    payment = await paid(ada, sandbox)

    error(await bob.post(BUY, buy(payment)), 409, "payment_already_used")
    await sandbox.webhook(SUCCEEDED, payment)

    await becomes(ada, 200)
    error(await bob.post(BUY, buy(payment)), 409, "payment_already_used")
    assert await bob.balance() == 100


async def test_an_event_that_is_not_true_credits_nothing(phone: Phone, sandbox: Sandbox) -> None:
    unpaid = await checked_out(phone)
    assert (await sandbox.webhook(SUCCEEDED, unpaid))["status"] == 200

    await sandbox.webhook(SUCCEEDED, await paid(phone, sandbox, 50))
    await becomes(phone, 150)
    error(await phone.post(BUY, buy(unpaid)), 402, "payment_not_completed")


@pytest.mark.parametrize("order", [{"forged": True}, {"ageSeconds": 900}], ids=["forged", "old"])
async def test_a_webhook_that_is_not_stripes_is_refused(phone: Phone, sandbox: Sandbox, order: Json) -> None:
    payment = await paid(phone, sandbox)

    assert (await sandbox.webhook(SUCCEEDED, payment, **order))["status"] == 400

    await sandbox.webhook(SUCCEEDED, await paid(phone, sandbox, 50))
    await becomes(phone, 150)


async def test_a_webhook_without_a_signature_is_refused(guest: Caller) -> None:
    error(await guest.post(WEBHOOK, {"id": "evt_1", "type": SUCCEEDED}), 400, "invalid_signature")


async def test_a_refund_after_half_was_spent_leaves_a_debt_that_the_next_coins_pay(
    phone: Phone, sandbox: Sandbox
) -> None:
    payment = fresh_payment(prefix="pi")
    data(await phone.post(BUY, buy(payment)))
    data(await phone.post("/api/coin/deduct", {"amount": 150}))
    await sandbox.put_payment(payment, refunded=True)

    sent = await sandbox.webhook(REFUNDED, payment, duplicate=True)

    assert sent["statuses"] == [200, 200]
    await becomes(phone, 0)  # 50 were left of the 100 to be taken
    data(await phone.post(BUY, buy(fresh_payment())))
    await becomes(phone, 50)
    lines = await phone.transactions()
    assert sum(line["amount"] for line in lines if line["type"] == "clawback") == -100
    assert sum(line["amount"] for line in lines) == 50


@pytest.mark.parametrize("change", [{"refunded": True}, {"disputed": True}], ids=["refund", "dispute"])
async def test_money_that_went_back_takes_its_coins_along_once(phone: Phone, sandbox: Sandbox, change: Json) -> None:
    payment = await paid(phone, sandbox)
    await sandbox.webhook(SUCCEEDED, payment)
    await becomes(phone, 200)
    await sandbox.put_payment(payment, **change)

    types = [REFUNDED, "refund.created"] if "refunded" in change else ["charge.dispute.created"] * 2
    for type_ in types:
        assert (await sandbox.webhook(type_, payment))["status"] == 200

    await becomes(phone, 100)
    await sandbox.webhook(SUCCEEDED, payment)  # an old event, late
    await sandbox.webhook(SUCCEEDED, await paid(phone, sandbox, 50))
    await becomes(phone, 150)


async def test_a_dispute_that_was_won_gives_the_coins_again(phone: Phone, sandbox: Sandbox) -> None:
    payment = fresh_payment(prefix="pi")
    data(await phone.post(BUY, buy(payment)))
    await sandbox.put_payment(payment, disputed=True)
    await sandbox.webhook("charge.dispute.created", payment)
    await becomes(phone, 100)

    await sandbox.put_payment(payment, disputeStatus="won")
    await sandbox.webhook("charge.dispute.closed", payment)

    await becomes(phone, 200)


async def test_while_stripe_is_away_a_webhook_waits(phone: Phone, sandbox: Sandbox) -> None:
    payment = await paid(phone, sandbox)
    await sandbox.fault("stripe", operation="payment_intents.retrieve", status=503, times=3)

    assert (await sandbox.webhook(SUCCEEDED, payment))["status"] == 200

    await becomes(phone, 200)
