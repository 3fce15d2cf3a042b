"""Payments at Stripe: what is credited, what is not, and that nothing is credited twice."""

import asyncio
from typing import Any

import httpx
import pytest

from coin_service.testing.client import OpenClient
from coin_service.testing.stripe import FakeStripe
from common.testing import user_headers

KEY = "3PabcDEFghij"


async def buy(
    client: httpx.AsyncClient, user_id: str, transaction_id: str, amount: int = 100, *, key: str | None = None
) -> httpx.Response:
    body = {"amount": amount, "paymentMethod": "stripe", "transactionId": transaction_id}
    headers = user_headers(user_id) | ({"Idempotency-Key": key} if key else {})
    return await client.post("/api/coin/buy", json=body, headers=headers)


async def balance(client: httpx.AsyncClient, user_id: str) -> int:
    response = await client.get("/api/coin/balance", headers=user_headers(user_id))
    coins: int = response.json()["data"]["balance"]
    return coins


def outcome(response: httpx.Response) -> tuple[int, str | None]:
    return response.status_code, response.json().get("code")


@pytest.mark.parametrize("name", [f"pi_{KEY}", f"ch_{KEY}", f"txn_{KEY}"])
async def test_payment_by_any_of_its_names(client: httpx.AsyncClient, stripe: FakeStripe, ada: str, name: str) -> None:
    stripe.pay(KEY)
    response = await buy(client, ada, name)
    data = response.json()["data"]
    assert (response.status_code, data["balance"]) == (200, 200)
    line = data["transaction"]
    assert (line["type"], line["amount"], line["balanceAfter"]) == ("buy", 100, 200)
    assert (line["paymentMethod"], line["transactionId"]) == ("stripe", name)


async def test_one_payment_credits_once_whatever_it_is_called(
    client: httpx.AsyncClient, stripe: FakeStripe, ada: str, bob: str
) -> None:
    stripe.pay(KEY)
    first = (await buy(client, ada, f"txn_{KEY}")).json()["data"]["transaction"]
    for name in (f"pi_{KEY}", f"ch_{KEY}", f"txn_{KEY}", f"pi_{KEY.upper()}"):
        again = await buy(client, ada, name)
        assert again.json()["data"] == {"transaction": first, "balance": 200}
        assert "Idempotent-Replayed" not in again.headers
        assert outcome(await buy(client, bob, name)) == (409, "payment_already_used")
    assert (await balance(client, ada), await balance(client, bob)) == (200, 100)


async def test_repeat_needs_no_vendor_and_survives_a_refund(
    client: httpx.AsyncClient, stripe: FakeStripe, ada: str
) -> None:
    stripe.pay(KEY)
    first = (await buy(client, ada, f"pi_{KEY}")).json()
    stripe.answers = [500] * 9
    assert (await buy(client, ada, f"pi_{KEY}")).json() == first | {}
    stripe.answers = []
    stripe.pay(KEY, charge={"refunded": True, "amount_refunded": 100})
    assert (await buy(client, ada, f"ch_{KEY}")).json() == first


async def test_repeat_for_another_number_of_coins(client: httpx.AsyncClient, stripe: FakeStripe, ada: str) -> None:
    stripe.pay(KEY, amount=500)
    assert (await buy(client, ada, f"pi_{KEY}", 500)).status_code == 200
    assert outcome(await buy(client, ada, f"pi_{KEY}", 100)) == (422, "amount_mismatch")
    assert await balance(client, ada) == 600


@pytest.mark.parametrize(
    ("intent", "charge", "expected"),
    [
        ({"status": "processing"}, {}, (402, "payment_not_completed")),
        ({"status": "requires_capture"}, {"captured": False}, (402, "payment_not_completed")),
        ({"status": "canceled", "latest_charge": None}, {}, (402, "payment_not_completed")),
        ({}, {"refunded": True, "amount_refunded": 100}, (402, "payment_not_completed")),
        ({}, {"amount_refunded": 1}, (402, "payment_not_completed")),
        ({}, {"disputed": True}, (402, "payment_not_completed")),
        ({}, {"paid": False}, (402, "payment_not_completed")),
        ({"amount_received": 99}, {}, (422, "amount_mismatch")),
        ({"currency": "jpy"}, {}, (422, "amount_mismatch")),
        ({"metadata": {"coins": "500"}}, {}, (422, "amount_mismatch")),
        ({"metadata": {"user_id": "0" * 24}}, {}, (409, "payment_already_used")),
        ({"livemode": True}, {}, (404, "payment_not_found")),
        ({"latest_charge": None}, {}, (502, "payment_provider_unavailable")),
        ({"amount_received": "100"}, {}, (502, "payment_provider_unavailable")),
        ({"amount_received": -5}, {}, (502, "payment_provider_unavailable")),
        ({"amount_received": 100.0}, {}, (502, "payment_provider_unavailable")),
        ({"id": "pi_another12"}, {}, (502, "payment_provider_unavailable")),
        ({"object": "charge"}, {}, (502, "payment_provider_unavailable")),
        ({"metadata": None}, {}, (502, "payment_provider_unavailable")),
        ({}, {"refunded": "no"}, (502, "payment_provider_unavailable")),
    ],
)
async def test_what_buys_nothing(
    client: httpx.AsyncClient,
    stripe: FakeStripe,
    ada: str,
    intent: dict[str, Any],
    charge: dict[str, Any],
    expected: tuple[int, str],
) -> None:
    stripe.pay(KEY, charge=charge, **intent)
    for name in (f"pi_{KEY}", f"txn_{KEY}"):
        response = await buy(client, ada, name)
        assert outcome(response) == expected
        assert "stripe" not in response.text.lower()
    assert await balance(client, ada) == 100
    stripe.pay(KEY)  # a refusal is not for ever
    assert (await buy(client, ada, f"pi_{KEY}")).status_code == 200


async def test_metadata_that_agrees(client: httpx.AsyncClient, stripe: FakeStripe, ada: str) -> None:
    stripe.pay(KEY, metadata={"user_id": ada, "coins": "100", "order": "7"})
    assert (await buy(client, ada, f"pi_{KEY}")).status_code == 200


async def test_overpaid_is_paid(client: httpx.AsyncClient, stripe: FakeStripe, ada: str) -> None:
    stripe.pay(KEY, amount=101)
    assert (await buy(client, ada, f"pi_{KEY}")).json()["data"]["balance"] == 200


async def test_price_and_currency_of_the_settings(open_client: OpenClient, stripe: FakeStripe, ada: str) -> None:
    async with open_client(coin_price_minor_units=3, coin_currency="eur") as client:
        stripe.pay(KEY, amount=299, currency="eur")
        assert outcome(await buy(client, ada, f"pi_{KEY}")) == (422, "amount_mismatch")
        stripe.pay(KEY, amount=300, currency="eur")
        assert (await buy(client, ada, f"pi_{KEY}")).status_code == 200


async def test_charge_without_an_intent(client: httpx.AsyncClient, stripe: FakeStripe, ada: str, bob: str) -> None:
    stripe.pay(KEY, charge={"payment_intent": None, "metadata": {"user_id": ada}})
    assert outcome(await buy(client, bob, f"ch_{KEY}")) == (409, "payment_already_used")
    assert (await buy(client, ada, f"txn_{KEY}")).json()["data"]["balance"] == 200
    assert (await buy(client, ada, f"ch_{KEY}")).json()["data"]["balance"] == 200


@pytest.mark.parametrize(("type_", "source"), [("refund", f"re_{KEY}"), ("stripe_fee", None), ("charge", f"re_{KEY}")])
async def test_balance_transaction_that_is_no_sale(
    client: httpx.AsyncClient, stripe: FakeStripe, ada: str, type_: str, source: str | None
) -> None:
    stripe.pay(KEY)
    stripe.objects[f"txn_{KEY}"] |= {"type": type_, "source": source}
    assert outcome(await buy(client, ada, f"txn_{KEY}")) == (404, "payment_not_found")


@pytest.mark.parametrize(
    "name",
    ["pi_", "pi_short", "x", "PI_12345678", "re_12345678", "sub_12345678", "pi_1234/5678", "pi_12345678?x=1", "..",
     "pi_%2e%2e%2f12345678", "pi_12345678_secret_1", "pi_" + "a" * 251, "cs_test_12345678"],
)  # fmt: skip
async def test_what_cannot_be_a_payment_is_not_asked_for(
    client: httpx.AsyncClient, stripe: FakeStripe, ada: str, name: str
) -> None:
    assert outcome(await buy(client, ada, name)) == (404, "payment_not_found")
    assert stripe.asked == []


@pytest.mark.parametrize("name", ["", " ", f"pi_{KEY} ", f" pi_{KEY}", f"pi_{KEY}\u200b", f"pi_{KEY}\n", "pi_é1234567",
                                  "a" * 1001, "pi_\u00001234567"])  # fmt: skip
async def test_names_with_more_than_visible_ascii(
    client: httpx.AsyncClient, stripe: FakeStripe, ada: str, name: str
) -> None:
    stripe.pay(KEY)
    assert outcome(await buy(client, ada, name)) == (422, "validation_failed")


async def test_unknown_payment_and_unknown_method(client: httpx.AsyncClient, ada: str) -> None:
    assert outcome(await buy(client, ada, "pi_1234567890")) == (404, "payment_not_found")
    for method in ("paypal", "Stripe", "", None, 7):
        body = {"amount": 1, "paymentMethod": method, "transactionId": "pi_1234567890"}
        response = await client.post("/api/coin/buy", json=body, headers=user_headers(ada))
        assert outcome(response) == (422, "validation_failed")
        assert response.json()["details"][0]["field"] == "paymentMethod"


@pytest.mark.parametrize(
    ("answers", "calls"),
    [
        ([401], 1),
        ([403], 1),
        ([400], 1),
        ([429], 1),
        ([302], 1),
        ([httpx.Response(404, text="<html>not here")], 1),
        ([500, 503, 502], 3),
        ([httpx.ConnectError("x"), httpx.ReadTimeout("x"), httpx.ReadError("x")], 3),
        ([b"not json"], 1),
        ([b"[" * 100_000], 1),
        ([b"null"], 1),
        ([b" " * 600_000] * 3, 3),
        ([httpx.Response(200, content=b"zip", headers={"Content-Encoding": "br"})] * 3, 3),
    ],
)
async def test_vendor_that_fails_is_502_and_changes_nothing(
    client: httpx.AsyncClient, stripe: FakeStripe, ada: str, answers: list[Any], calls: int
) -> None:
    stripe.pay(KEY)
    stripe.answers = answers
    response = await buy(client, ada, f"pi_{KEY}", key="k")
    assert outcome(response) == (502, "payment_provider_unavailable")
    assert len(stripe.asked) == calls
    assert await balance(client, ada) == 100
    assert (await buy(client, ada, f"pi_{KEY}", key="k")).json()["data"]["balance"] == 200


async def test_short_fault_is_not_noticed(client: httpx.AsyncClient, stripe: FakeStripe, ada: str) -> None:
    stripe.pay(KEY)
    stripe.answers = [500, httpx.ConnectError("x")]
    assert (await buy(client, ada, f"pi_{KEY}")).status_code == 200


async def test_slow_vendor_is_given_up(open_client: OpenClient, stripe: FakeStripe, ada: str) -> None:
    async def never(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    stripe.handler = never
    async with open_client(provider_total_seconds=0.1) as client:
        assert outcome(await buy(client, ada, f"pi_{KEY}")) == (502, "payment_provider_unavailable")


async def test_without_a_key_for_stripe(open_client: OpenClient, stripe: FakeStripe, ada: str) -> None:
    async with open_client(stripe_secret_key=None) as client:
        assert outcome(await buy(client, ada, f"pi_{KEY}")) == (502, "payment_provider_unavailable")
    assert stripe.asked == []


async def test_idempotency_key_of_a_purchase(client: httpx.AsyncClient, stripe: FakeStripe, ada: str) -> None:
    stripe.pay(KEY)
    first = await buy(client, ada, f"pi_{KEY}", key="k")
    headers = user_headers(ada)
    await client.post("/api/coin/deduct", json={"amount": 50}, headers=headers)
    calls = len(stripe.asked)
    again = await buy(client, ada, f"pi_{KEY}", key="k")
    assert again.json()["data"] == first.json()["data"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(stripe.asked) == calls
    assert outcome(await buy(client, ada, "pi_another12345", key="k")) == (422, "idempotency_key_reused")

    # The same payment under another key: the first transaction, and that key now stands for this request.
    other = await buy(client, ada, f"pi_{KEY}", key="k2")
    assert "Idempotent-Replayed" not in other.headers
    assert other.json()["data"] == {"transaction": first.json()["data"]["transaction"], "balance": 150}
    await client.post("/api/coin/deduct", json={"amount": 50}, headers=headers)
    again = await buy(client, ada, f"pi_{KEY}", key="k2")
    assert (again.json()["data"], again.headers["Idempotent-Replayed"]) == (other.json()["data"], "true")
    assert outcome(await buy(client, ada, "pi_another12345", key="k2")) == (422, "idempotency_key_reused")
    lines = (await client.get("/api/coin/transactions", headers=headers)).json()["data"]["transactions"]
    assert [line["type"] for line in lines] == ["deduct", "deduct", "buy", "bonus"]


async def test_parallel_claims_by_one_user(client: httpx.AsyncClient, stripe: FakeStripe, ada: str) -> None:
    stripe.pay(KEY)
    names = [f"pi_{KEY}", f"ch_{KEY}", f"txn_{KEY}"]
    keys = [None, "same", "k1", "k2"]
    responses = await asyncio.gather(*(buy(client, ada, names[n % 3], key=keys[n % 4]) for n in range(0, 24, 2)))
    good = [response for response in responses if response.status_code == 200]
    assert {response.json()["data"]["transaction"]["id"] for response in good} == {
        good[0].json()["data"]["transaction"]["id"]
    }
    assert {outcome(response) for response in responses if response not in good} <= {(422, "idempotency_key_reused")}
    assert await balance(client, ada) == 200


async def test_parallel_claims_by_two_users(open_client: OpenClient, stripe: FakeStripe, ada: str, bob: str) -> None:
    async with open_client() as one, open_client() as other:
        for number in range(5):
            stripe.pay(f"{KEY}{number}")
            responses = await asyncio.gather(
                *(
                    buy(client, user, f"{name}_{KEY}{number}")
                    for client in (one, other)
                    for user in (ada, bob)
                    for name in ("pi", "txn")
                )
            )
            assert {outcome(response) for response in responses} == {(200, None), (409, "payment_already_used")}
            assert sum(response.status_code == 200 for response in responses) == 4
        assert await balance(one, ada) + await balance(one, bob) == 200 + 500
