"""Buying coins at Google Play: looked up, credited once, then consumed."""

import asyncio

import pytest

from journey.answers import Json, data, error
from journey.phone import NewPhone, Phone, fresh_purchase
from journey.polling import until
from journey.sandbox import Sandbox

BUY = "/api/coin/buy"


def order(token: str, amount: int = 100, product: str = "coins_100") -> Json:
    return {"amount": amount, "paymentMethod": "google_play", "transactionId": token, "productId": product}


async def test_a_purchase_is_credited_and_consumed(phone: Phone, sandbox: Sandbox) -> None:
    token = fresh_purchase()

    content = data(await phone.post(BUY, order(token)))

    assert content["balance"] == 200
    assert content["transaction"]["paymentMethod"] == "google_play"
    assert content["transaction"]["transactionId"] == token

    async def consumed() -> bool:
        calls = await sandbox.calls("google_play", containing=token)
        return any(call["operation"] == "products.consume" for call in calls)

    await until(consumed, "the purchase is consumed")
    assert data(await phone.post(BUY, order(token)))["transaction"] == content["transaction"]
    assert await phone.balance() == 200


async def test_a_purchase_belongs_to_the_first_of_two_users(new_phone: NewPhone) -> None:
    ada, bob = await new_phone(), await new_phone()
    body = order(fresh_purchase())

    answers = await asyncio.gather(*(phone.post(BUY, body) for phone in (ada, bob, ada, bob)))

    assert sorted(answer.status_code for answer in answers) == [200, 200, 409, 409]
    assert sorted([await ada.balance(), await bob.balance()]) == [100, 200]


@pytest.mark.parametrize(
    ("story", "status", "code"),
    [
        ("pending", 402, "payment_not_completed"),
        ("canceled", 402, "payment_not_completed"),
        ("not-found", 404, "payment_not_found"),
        ("gone", 404, "payment_not_found"),
        ("unauthorized", 502, "payment_provider_unavailable"),
        ("rate-limited", 502, "payment_provider_unavailable"),
        ("error-500", 502, "payment_provider_unavailable"),
    ],
)
async def test_what_was_not_paid_is_not_credited(phone: Phone, story: str, status: int, code: str) -> None:
    error(await phone.post(BUY, order(fresh_purchase(story))), status, code)

    assert await phone.balance() == 100


@pytest.mark.parametrize(("amount", "product"), [(500, "coins_100"), (100, "coins_500"), (100, "pro_monthly")])
async def test_a_product_is_worth_its_own_coins(phone: Phone, amount: int, product: str) -> None:
    error(await phone.post(BUY, order(fresh_purchase(), amount, product)), 422)

    assert await phone.balance() == 100


async def test_a_voided_purchase_takes_its_coins_along(phone: Phone, sandbox: Sandbox) -> None:
    token = fresh_purchase()
    data(await phone.post(BUY, order(token)))
    data(await phone.post("/api/coin/deduct", {"amount": 150}))

    await sandbox.put_purchase(token, state="canceled")

    async def taken() -> bool:
        return await phone.balance() == 0

    await until(taken, "the coins that were left are taken")
    data(await phone.post(BUY, order(fresh_purchase())))
    assert await phone.balance() == 50  # the rest was owed


async def test_a_failed_consumption_takes_no_coins_back(phone: Phone, sandbox: Sandbox) -> None:
    token = fresh_purchase()
    await sandbox.fault("google_play", operation="products.consume", status=500, times=2)

    assert data(await phone.post(BUY, order(token)))["balance"] == 200
    assert await phone.balance() == 200


async def test_a_notification_of_a_voided_purchase_takes_its_coins_along_once(phone: Phone, sandbox: Sandbox) -> None:
    token = fresh_purchase()
    data(await phone.post(BUY, order(token)))
    await sandbox.put_purchase(token, state="canceled")

    sent = await sandbox.notify(token, "voided", duplicate=True)

    assert sent["statuses"] == [200, 200]

    async def taken() -> bool:
        return await phone.balance() == 100

    await until(taken, "the coins are taken")
    assert [line["type"] for line in await phone.transactions()] == ["clawback", "buy", "bonus"]


async def test_a_notification_that_is_not_true_or_not_googles_takes_nothing(phone: Phone, sandbox: Sandbox) -> None:
    token = fresh_purchase()
    data(await phone.post(BUY, order(token)))

    assert (await sandbox.notify(token, "voided"))["status"] == 200
    assert (await sandbox.notify(token, "voided", forged=True))["status"] == 400
    assert (await sandbox.notify(token, "voided", ageSeconds=7200))["status"] == 400

    other = fresh_purchase()  # voided and taken after those: by then they would have done their harm
    data(await phone.post(BUY, order(other)))
    await sandbox.put_purchase(other, state="canceled")

    async def taken() -> bool:
        return await phone.balance() == 200

    await until(taken, "the other's coins are taken")
