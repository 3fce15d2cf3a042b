"""Packs, and orders of coins: one order is one PaymentIntent, however often it is sent."""

import asyncio
from typing import Any

import httpx
import pytest

from coin_service.testing.client import OpenClient
from coin_service.testing.stripe import FakeStripe
from coin_service.testing.sweeping import pay
from common.mongo import Database
from common.testing import user_headers

PATH = "/api/coin/checkout"

INTENT = {
    "id": "pi_00000001",
    "object": "payment_intent",
    "amount": 100,
    "currency": "usd",
    "livemode": False,
    "client_secret": "s",
}


async def order(client: httpx.AsyncClient, user_id: str, key: str | None = None, **body: Any) -> httpx.Response:
    headers = user_headers(user_id) | ({"Idempotency-Key": key} if key else {})
    return await client.post(PATH, json=body, headers=headers)


async def test_packs_follow_the_products_and_the_price(open_client: OpenClient, ada: str) -> None:
    async with open_client(coin_price_minor_units=3, coin_currency="eur") as client:
        response = await client.get("/api/coin/packs", headers=user_headers(ada))
        assert response.json()["data"]["packs"][0] == {
            "id": "coins_100",
            "coins": 100,
            "price": {"amount": 300, "currency": "eur"},
            "googlePlayProductId": "coins_100",
        }
        assert (await client.get("/api/coin/packs")).status_code == 401
    pack = {"id": "small", "coins": 60}
    async with open_client(coin_packs=[pack]) as client:
        response = await client.get("/api/coin/packs", headers=user_headers(ada))
        offered = pack | {"price": {"amount": 60, "currency": "usd"}, "googlePlayProductId": None}
        assert response.json()["data"] == {"packs": [offered]}


@pytest.mark.parametrize(("body", "coins"), [({"packId": "coins_500"}, 500), ({"amount": 70}, 70)])
async def test_checkout_makes_a_payment_for_the_user(
    client: httpx.AsyncClient, stripe: FakeStripe, ada: str, body: dict[str, Any], coins: int
) -> None:
    response = await order(client, ada, **body)
    data = response.json()["data"]
    intent = stripe.objects[data["transactionId"]]
    assert response.status_code == 200
    assert data == {
        "transactionId": intent["id"],
        "clientSecret": intent["client_secret"],
        "amount": coins,
        "price": {"amount": coins, "currency": "usd"},
    }
    assert (intent["metadata"]["user_id"], intent["metadata"]["coins"]) == (ada, str(coins))
    bought = await client.post(
        "/api/coin/buy",
        json={"amount": coins, "paymentMethod": "stripe", "transactionId": data["transactionId"]},
        headers=user_headers(ada),
    )
    assert (bought.status_code, bought.json()["code"]) == (402, "payment_not_completed")


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "validation_failed", "amount"),
        ({"packId": "coins_100", "amount": 100}, "validation_failed", "packId"),
        ({"packId": "coins_7"}, "unknown_pack", "packId"),
        ({"packId": 7}, "validation_failed", "packId"),
        ({"amount": 0}, "validation_failed", "amount"),
        ({"amount": 49}, "amount_not_payable", "amount"),
    ],
)
async def test_what_cannot_be_ordered(
    client: httpx.AsyncClient, database: Database, ada: str, body: dict[str, Any], code: str, field: str
) -> None:
    response = await order(client, ada, "k", **body)
    assert (response.status_code, response.json()["code"]) == (422, code)
    assert response.json()["details"][0]["field"] == field
    assert await database["checkouts"].count_documents({}) == 0
    assert (await order(client, ada, "k", amount=100)).status_code == 200  # corrected, under the same key


async def test_same_key_is_the_same_payment(client: httpx.AsyncClient, stripe: FakeStripe, ada: str, bob: str) -> None:
    answers = await asyncio.gather(*(order(client, ada, "k", amount=100) for _ in range(6)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    again = await order(client, ada, "k", amount=100)
    assert (again.json(), again.headers["Idempotent-Replayed"]) == (answers[0].json(), "true")
    other = await order(client, ada, "k", amount=200)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert (await order(client, bob, "k", amount=100)).json() != again.json()
    assert len(stripe.made) == 2
    await order(client, ada, amount=100)
    await order(client, ada, amount=100)
    assert len(stripe.made) == 4


async def test_lost_answer_of_stripe_is_found_again(
    client: httpx.AsyncClient, stripe: FakeStripe, database: Database, ada: str
) -> None:
    stripe.answers = [httpx.ReadTimeout("lost"), 500, 409]
    failed = await order(client, ada, "k", amount=100)
    assert (failed.status_code, failed.json()["code"]) == (502, "payment_provider_unavailable")
    # As if Stripe had made it, and our process had died before it was noted.
    first = (await order(client, ada, "k", amount=100)).json()
    await database["checkouts"].update_one({}, {"$unset": {"transaction_id": "", "due_at": ""}})
    again = await order(client, ada, "k", amount=100)
    assert again.json() == first
    assert len(stripe.made) == 1


async def test_secret_is_neither_kept_nor_logged(
    client: httpx.AsyncClient, stripe: FakeStripe, database: Database, ada: str, caplog: pytest.LogCaptureFixture
) -> None:
    data = (await order(client, ada, "k", amount=100)).json()["data"]
    kept = str(await database["checkouts"].find({}).to_list(10))
    assert data["transactionId"] in kept
    assert data["clientSecret"] not in kept
    stripe.answers = [httpx.Response(200, json={"id": data["transactionId"], "client_secret": data["clientSecret"]})]
    assert (await order(client, ada, "k", amount=100)).status_code == 502
    assert "checkout opened" in caplog.text
    assert "payment_provider_unavailable" in caplog.text
    assert data["clientSecret"][-10:] not in caplog.text


@pytest.mark.parametrize(
    "change", [{"client_secret": None}, {"amount": 99}, {"currency": "jpy"}, {"id": "pi_../x"}, {"object": "charge"}]
)
async def test_answer_that_does_not_fit(
    client: httpx.AsyncClient, stripe: FakeStripe, ada: str, change: dict[str, Any]
) -> None:
    stripe.answers = [httpx.Response(200, json=INTENT | change)]
    response = await order(client, ada, amount=100)
    assert (response.status_code, response.json()["code"]) == (502, "payment_provider_unavailable")


@pytest.mark.parametrize("answer", [404, httpx.Response(200, json=INTENT | {"livemode": True})])
async def test_payment_that_stripe_does_not_show_is_its_trouble(
    client: httpx.AsyncClient, stripe: FakeStripe, ada: str, answer: int | httpx.Response
) -> None:
    stripe.answers = [answer]
    made = await order(client, ada, "k", amount=100)
    assert (made.status_code, made.json()["code"]) == (502, "payment_provider_unavailable")
    assert (await order(client, ada, "k", amount=100)).status_code == 200
    stripe.answers = [404]
    again = await order(client, ada, "k", amount=100)
    assert (again.status_code, again.json()["code"]) == (502, "payment_provider_unavailable")


async def test_checkout_needs_a_user(client: httpx.AsyncClient) -> None:
    assert (await client.post(PATH, json={"amount": 100})).status_code == 401
    assert (await order(client, "0" * 24, amount=100)).status_code == 401


async def test_price_of_a_checkout_is_kept(open_client: OpenClient, stripe: FakeStripe, ada: str) -> None:
    async with open_client(coin_price_minor_units=1) as client:
        data = (await order(client, ada, amount=100)).json()["data"]
    name = data["transactionId"]
    pay(stripe, name)
    stripe.pay("sameMoney0001", amount=100)
    async with open_client(coin_price_minor_units=2, coin_currency="eur") as client:
        for payment, status in ((name, 200), ("pi_sameMoney0001", 422)):
            body = {"amount": 100, "paymentMethod": "stripe", "transactionId": payment}
            bought = await client.post("/api/coin/buy", json=body, headers=user_headers(ada))
            assert bought.status_code == status, bought.text


async def test_payment_of_a_checkout_buys_what_was_ordered(
    client: httpx.AsyncClient, stripe: FakeStripe, database: Database, ada: str, bob: str
) -> None:
    name = (await order(client, ada, amount=100)).json()["data"]["transactionId"]
    # As if its metadata had been taken off at Stripe.
    stripe.pay(name.removeprefix("pi_"), amount=100)
    for user_id, amount, code in ((bob, 100, "amount_mismatch"), (ada, 50, "amount_mismatch"), (ada, 100, None)):
        body = {"amount": amount, "paymentMethod": "stripe", "transactionId": name}
        bought = await client.post("/api/coin/buy", json=body, headers=user_headers(user_id))
        assert bought.json().get("code") == code
