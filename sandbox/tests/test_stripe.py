"""Stripe: one payment under several names, states by marker, creation, refunds, errors."""

from typing import Any

import httpx
import pytest

STRIPE = {"Authorization": "Bearer sk_test_sandbox"}


async def get(client: httpx.AsyncClient, path: str, **params: Any) -> httpx.Response:
    return await client.get(f"/v1/{path}", headers=STRIPE, params=params)


async def test_founding_example_is_a_succeeded_payment_for_100_coins(client: httpx.AsyncClient) -> None:
    transaction = (await get(client, "balance_transactions/txn_1234567890")).json()
    charge = (await get(client, f"charges/{transaction['source']}")).json()
    intent = (await get(client, f"payment_intents/{charge['payment_intent']}")).json()

    assert (transaction["amount"], transaction["currency"]) == (100, "usd")
    assert (charge["paid"], charge["status"], charge["refunded"], charge["disputed"]) == (
        True,
        "succeeded",
        False,
        False,
    )
    assert (intent["status"], intent["amount_received"], intent["currency"]) == ("succeeded", 100, "usd")
    assert (intent["id"], intent["latest_charge"]) == ("pi_1234567890", "ch_1234567890")
    assert intent["livemode"] is False


@pytest.mark.parametrize("name", ["expand[]", "expand[0]"])
async def test_expand_in_both_spellings(client: httpx.AsyncClient, name: str) -> None:
    intent = (await get(client, "payment_intents/pi_abcdefgh", **{name: "latest_charge.balance_transaction"})).json()
    assert intent["latest_charge"]["object"] == "charge"
    assert intent["latest_charge"]["balance_transaction"]["id"] == "txn_abcdefgh"

    wrong = await get(client, "payment_intents/pi_abcdefgh", **{name: "amount"})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "expand")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("sandboxProcessing1", {"status": "processing", "amount_received": 0}),
        ("sandboxRequiresAction1", {"status": "requires_action", "latest_charge": None}),
        ("sandboxRequiresPayment1", {"status": "requires_payment_method", "latest_charge": None}),
        ("sandboxRequiresConfirmation1", {"status": "requires_confirmation"}),
        ("sandboxRequiresCapture1", {"status": "requires_capture", "amount_capturable": 100, "amount_received": 0}),
        ("sandboxCanceled1", {"status": "canceled", "amount_received": 0}),
        ("sandboxEur1", {"status": "succeeded", "currency": "eur"}),
        ("sandboxUnderpaid1", {"status": "succeeded", "amount": 100, "amount_received": 50}),
        ("sandboxLive1", {"livemode": True}),
        ("sandboxCoins500x", {"amount": 500, "amount_received": 500}),
        ("sandboxCoins250Eurx", {"amount": 250, "currency": "eur"}),
        ("3sandboxProcessing", {"status": "succeeded"}),
    ],
)
async def test_markers_of_intents(client: httpx.AsyncClient, key: str, expected: dict[str, Any]) -> None:
    intent = (await get(client, f"payment_intents/pi_{key}")).json()
    assert {name: intent[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("sandboxRefunded1", {"refunded": True, "amount_refunded": 100, "paid": True}),
        ("sandboxPartlyRefunded1", {"refunded": False, "amount_refunded": 50}),
        ("sandboxDisputed1", {"disputed": True, "status": "succeeded"}),
        ("sandboxDeclined1", {"paid": False, "status": "failed", "failure_code": "card_declined"}),
        ("sandboxProcessing1", {"paid": False, "status": "pending", "balance_transaction": None}),
    ],
)
@pytest.mark.parametrize("prefix", ["ch", "py"])
async def test_markers_of_charges(client: httpx.AsyncClient, prefix: str, key: str, expected: dict[str, Any]) -> None:
    charge = (await get(client, f"charges/{prefix}_{key}")).json()
    assert charge["id"] == f"{prefix}_{key}"
    assert {name: charge[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("payment_intents/pi_sandboxMissing1", "payment_intent"),
        ("payment_intents/pi_short", "payment_intent"),
        ("payment_intents/ch_12345678", "payment_intent"),
        ("charges/pi_12345678", "charge"),
        ("charges/ch_sandboxRequiresAction1", "charge"),
        ("balance_transactions/txn_sandboxProcessing1", "balance transaction"),
    ],
)
async def test_what_does_not_exist(client: httpx.AsyncClient, path: str, kind: str) -> None:
    response = await get(client, path)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (404, "resource_missing")
    assert error["message"] == f"No such {kind}: '{path.partition('/')[2]}'"
    assert response.headers["Request-Id"].startswith("req_")


async def test_marked_failures_and_unknown_addresses(client: httpx.AsyncClient) -> None:
    for status in (429, 500, 503):
        assert (await get(client, f"payment_intents/pi_sandboxError{status}x")).status_code == status
    unknown = await get(client, "payment_intents/")
    assert unknown.status_code == 404
    assert unknown.json()["error"]["message"] == "Unrecognized request URL (GET: /v1/payment_intents/)."


@pytest.mark.parametrize("key", ["", "Bearer sk_live_1", "Bearer pk_test_1", "Basic !!", "Bearer sk-stability"])
async def test_keys_are_checked(client: httpx.AsyncClient, key: str) -> None:
    headers = {"Authorization": key} if key else {}
    response = await client.get("/v1/charges/ch_12345678", headers=headers)
    assert response.status_code == 401
    assert response.json()["error"]["type"] == "invalid_request_error"
    basic = await client.get("/v1/charges/ch_12345678", auth=("sk_test_1", ""))
    assert basic.status_code == 200


async def test_creating_an_intent_is_idempotent(client: httpx.AsyncClient) -> None:
    async def create(key: str, **form: str) -> httpx.Response:
        data = {"currency": "usd", "metadata[user_id]": "42", "automatic_payment_methods[enabled]": "true", **form}
        return await client.post("/v1/payment_intents", data=data, headers={**STRIPE, "Idempotency-Key": key})

    first = await create("k1", amount="500")
    assert first.status_code == 200
    intent = first.json()
    assert (intent["status"], intent["amount"], intent["amount_received"]) == ("requires_payment_method", 500, 0)
    assert intent["metadata"] == {"user_id": "42"}
    assert intent["client_secret"].startswith(intent["id"])

    again = await create("k1", amount="500")
    assert again.json() == intent
    assert again.headers["Idempotent-Replayed"] == "true"

    other = await create("k1", amount="600")
    assert (other.status_code, other.json()["error"]["type"]) == (400, "idempotency_error")

    paid = await client.put(f"/_sandbox/stripe/payments/{intent['id']}", json={"status": "succeeded"})
    assert paid.json()["payment"]["amount_received"] == 500
    assert (await get(client, f"payment_intents/{intent['id']}")).json()["metadata"] == {"user_id": "42"}


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"currency": "usd"}, "parameter_missing"),
        ({"amount": "100"}, "parameter_missing"),
        ({"amount": "1e3", "currency": "usd"}, "parameter_invalid_integer"),
        ({"amount": "-5", "currency": "usd"}, "parameter_invalid_integer"),
        ({"amount": "10", "currency": "usd"}, "amount_too_small"),
        ({"amount": "100000000", "currency": "usd"}, "amount_too_large"),
        ({"amount": "100", "currency": "usd", "amuont": "1"}, "parameter_unknown"),
    ],
)
async def test_bad_intents(client: httpx.AsyncClient, form: dict[str, str], code: str) -> None:
    response = await client.post("/v1/payment_intents", data=form, headers=STRIPE)
    assert (response.status_code, response.json()["error"]["code"]) == (400, code)


async def test_refunds(client: httpx.AsyncClient) -> None:
    async def refund(**form: str) -> httpx.Response:
        return await client.post("/v1/refunds", data=form, headers=STRIPE)

    part = await refund(payment_intent="pi_12345678", amount="30")
    assert (part.json()["status"], part.json()["charge"]) == ("succeeded", "ch_12345678")
    rest = await refund(charge="ch_12345678")
    assert rest.json()["amount"] == 70
    charge = (await get(client, "charges/ch_12345678")).json()
    assert (charge["refunded"], charge["amount_refunded"]) == (True, 100)
    assert (await refund(charge="ch_12345678")).json()["error"]["code"] == "charge_already_refunded"
    assert (await refund(charge="ch_87654321", amount="101")).status_code == 400


async def test_control_sets_every_part(client: httpx.AsyncClient) -> None:
    body = {"status": "succeeded", "amount": 900, "currency": "eur", "metadata": {"user_id": "7"}, "refunded": True}
    await client.put("/_sandbox/stripe/payments/txn_sandboxMissing1", json=body)

    charge = (await get(client, "charges/ch_sandboxMissing1")).json()
    assert (charge["amount"], charge["currency"], charge["metadata"]) == (900, "eur", {"user_id": "7"})
    assert charge["refunded"] is True
    await client.put("/_sandbox/stripe/payments/pi_sandboxMissing1", json={"refunded": 100, "disputed": True})
    charge = (await get(client, "charges/ch_sandboxMissing1")).json()
    assert (charge["amount_refunded"], charge["refunded"], charge["disputed"]) == (100, False, True)

    for path, bad in (("pi_x", {}), ("pi_12345678", {"status": "paid"}), ("pi_12345678", {"amount": "1"})):
        assert (await client.put(f"/_sandbox/stripe/payments/{path}", json=bad)).status_code == 422


@pytest.mark.parametrize("status", ["processing", "requires_payment_method", "requires_capture", "canceled"])
async def test_payment_set_up_by_its_balance_transaction_can_be_followed(
    client: httpx.AsyncClient, status: str
) -> None:
    await client.put("/_sandbox/stripe/payments/txn_setupbytest1", json={"status": status})

    transaction = (await get(client, "balance_transactions/txn_setupbytest1")).json()
    charge = (await get(client, f"charges/{transaction['source']}")).json()
    intent = (await get(client, f"payment_intents/{charge['payment_intent']}")).json()

    assert (transaction["status"], transaction["type"]) == ("pending", "charge")
    assert (charge["captured"], charge["balance_transaction"]) == (False, "txn_setupbytest1")
    assert (intent["status"], intent["amount_received"]) == (status, 0)
