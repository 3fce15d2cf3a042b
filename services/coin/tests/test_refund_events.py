"""Webhooks of refunds and disputes: coins go back with the money, and come again with it."""

import asyncio
from datetime import timedelta

import httpx

from coin_service.testing.stripe import FakeStripe
from coin_service.testing.webhooks import (
    DISPUTED,
    KEY,
    REFUNDED,
    SUCCEEDED,
    event,
    paid,
    send,
    wallet,
    worked_off,
)
from common.clock import utc_now
from common.mongo import Database
from common.testing import user_headers


async def test_refund_that_overtakes_its_payment(
    webhooks: httpx.AsyncClient, stripe: FakeStripe, database: Database, ada: str
) -> None:
    paid(stripe, ada)
    stripe.refund(KEY, 100)
    await send(webhooks, REFUNDED)
    await worked_off(database)
    await send(webhooks, SUCCEEDED)
    await worked_off(database)
    assert await wallet(webhooks, ada) == (100, [("bonus", 100)])
    body = {"amount": 100, "paymentMethod": "stripe", "transactionId": f"pi_{KEY}"}
    for key in ("k1", "k1", "k2"):
        headers = user_headers(ada) | {"Idempotency-Key": key}
        claimed = await webhooks.post("/api/coin/buy", json=body, headers=headers)
        assert (claimed.status_code, claimed.json()["code"]) == (402, "payment_not_completed")


async def test_refund_between_the_look_and_the_credit_of_a_claim(
    webhooks: httpx.AsyncClient, stripe: FakeStripe, database: Database, ada: str
) -> None:
    """The app's claim has seen the money; before it credits, the refund's event is worked off."""
    paid(stripe, ada)
    asked, go_on = asyncio.Event(), asyncio.Event()
    answer = stripe._answer

    async def slow(request: httpx.Request) -> httpx.Response:
        found = answer(request)
        stripe.handler = None
        asked.set()
        await go_on.wait()
        return found

    stripe.handler = slow
    body = {"amount": 100, "paymentMethod": "stripe", "transactionId": f"pi_{KEY}"}
    claim = asyncio.create_task(webhooks.post("/api/coin/buy", json=body, headers=user_headers(ada)))
    await asked.wait()
    stripe.refund(KEY, 100)
    await send(webhooks, REFUNDED)
    await worked_off(database)
    go_on.set()
    assert (await claim).status_code == 402
    assert await wallet(webhooks, ada) == (100, [("bonus", 100)])


async def test_partial_refunds_then_a_dispute(
    webhooks: httpx.AsyncClient, stripe: FakeStripe, database: Database, ada: str
) -> None:
    paid(stripe, ada)
    await send(webhooks, SUCCEEDED)
    await worked_off(database)
    await webhooks.post("/api/coin/deduct", json={"amount": 120}, headers=user_headers(ada))
    for number, refunded in enumerate((10, 25)):
        stripe.refund(KEY, refunded)
        await send(webhooks, event(f"evt_{number}", "charge.refunded", id=f"ch_{KEY}"))
        await worked_off(database)
    assert (await wallet(webhooks, ada))[1][-2:] == [("clawback", -10), ("clawback", -15)]

    stripe.objects[f"ch_{KEY}"]["disputed"] = True
    stripe.disputes[f"ch_{KEY}"] = ["needs_response"]
    await send(webhooks, DISPUTED)
    await worked_off(database)
    balance, lines = await wallet(webhooks, ada)
    assert (balance, lines[-1]) == (0, ("clawback", -55))  # and 20 are owed

    stripe.pay("4Another0000", amount=50)
    body = {"amount": 50, "paymentMethod": "stripe", "transactionId": "pi_4Another0000"}
    bought = await webhooks.post("/api/coin/buy", json=body, headers=user_headers(ada) | {"Idempotency-Key": "k"})
    assert bought.json()["data"]["balance"] == 30
    again = await webhooks.post("/api/coin/buy", json=body, headers=user_headers(ada) | {"Idempotency-Key": "k"})
    assert again.json() == bought.json()
    assert (await wallet(webhooks, ada))[1][-2:] == [("buy", 50), ("clawback", -20)]

    stripe.disputes[f"ch_{KEY}"] = ["won"]
    won = event("evt_won", "charge.dispute.closed", id="dp_1", charge=f"ch_{KEY}", payment_intent=f"pi_{KEY}")
    await send(webhooks, won)
    await worked_off(database)
    balance, lines = await wallet(webhooks, ada)
    assert (balance, lines[-1]) == (105, ("refund", 75))


async def test_refund_of_what_nobody_has_claimed_is_kept_for_a_while(
    webhooks: httpx.AsyncClient, stripe: FakeStripe, database: Database, ada: str
) -> None:
    stripe.pay(KEY)  # no checkout of ours: whose it is only the app knows
    stripe.refund(KEY, 40)
    await send(webhooks, REFUNDED)
    async with asyncio.timeout(20):
        while True:
            kept = await database["inbox"].find_one({"state": "retry", "error": "postponed"})
            if kept is not None:
                break
            await asyncio.sleep(0.02)
    old = utc_now() - timedelta(seconds=61)
    await database["inbox"].update_one({}, {"$set": {"received_at": old, "next_at": old}})
    await worked_off(database)
    assert await wallet(webhooks, ada) == (100, [("bonus", 100)])
