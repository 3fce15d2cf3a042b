"""Stripe's webhooks: about a payment as it stands, and signed."""

import hashlib
import hmac
import json
import time
from typing import Any

import httpx
import pytest

from sandbox_service.stripe.events import signature_header
from sandbox_service.testing.gateway import SECRET, USER, Gateway, send


def signed_event(request: httpx.Request, secret: str = SECRET) -> dict[str, Any]:
    """Verify a webhook as Stripe's documentation says; return the event."""
    scheme, _, text = request.headers["Stripe-Signature"].partition(",")
    expected = hmac.new(secret.encode(), scheme[2:].encode() + b"." + request.content, hashlib.sha256).hexdigest()
    assert text == f"v1={expected}"
    assert abs(int(scheme[2:]) - time.time()) < 30
    event: dict[str, Any] = json.loads(request.content)
    return event


def test_the_documented_signature() -> None:
    body = b'{"id":"evt_1","object":"event"}'
    mac = "0c8670ed117751cc551a20e35839447075c42800ea3cf3e8a2fbda99cd1e6edd"
    assert signature_header(body, "whsec_test_secret", 1700000000) == f"t=1700000000,v1={mac}"


async def test_a_webhook_holds_the_payment_as_it_stands(sender: httpx.AsyncClient, gateway: Gateway) -> None:
    change = {"status": "processing", "amount": 700, "metadata": {"user_id": USER}}
    await sender.put("/_sandbox/stripe/payments/pi_12345678", json=change)

    sent = await send(sender, "stripe/webhook", type="payment_intent.succeeded", id="txn_12345678")

    (request,) = gateway.received
    assert (request.method, request.url.path) == ("POST", "/api/coin/webhooks/stripe")
    event = signed_event(request)
    assert event == sent["event"]
    assert (event["object"], event["type"], event["livemode"]) == ("event", "payment_intent.succeeded", False)
    assert event["id"].startswith("evt_")
    told = event["data"]["object"]
    assert (told["object"], told["id"], told["status"]) == ("payment_intent", "pi_12345678", "processing")
    assert told["metadata"] == {"user_id": USER}


@pytest.mark.parametrize(
    ("type_", "object_", "prefix"),
    [
        ("payment_intent.canceled", "payment_intent", "pi_"),
        ("charge.refunded", "charge", "ch_"),
        ("charge.dispute.created", "dispute", "dp_"),
        ("refund.created", "refund", "re_"),
    ],
)
async def test_every_event_is_about_its_own_object(
    sender: httpx.AsyncClient, gateway: Gateway, type_: str, object_: str, prefix: str
) -> None:
    await sender.put("/_sandbox/stripe/payments/pi_12345678", json={"refunded": 40, "disputed": True})

    await send(sender, "stripe/webhook", type=type_, id="pi_12345678", duplicate=True)

    first, second = gateway.received
    assert first.content == second.content
    told = signed_event(first)["data"]["object"]
    assert told["object"] == object_
    assert told["id"].startswith(prefix)
    if object_ in ("refund", "dispute"):
        assert (told["payment_intent"], told["charge"]) == ("pi_12345678", "ch_12345678")


async def test_a_forged_or_old_webhook_is_not_stripes(sender: httpx.AsyncClient, gateway: Gateway) -> None:
    await send(sender, "stripe/webhook", type="charge.refunded", id="ch_12345678", forged=True)
    with pytest.raises(AssertionError):
        signed_event(gateway.received[0])

    sent = await send(
        sender, "stripe/webhook", type="charge.refunded", id="ch_12345678", ageSeconds=400, eventId="evt_1"
    )
    assert sent["event"]["id"] == "evt_1"
    assert 390 < time.time() - int(gateway.received[1].headers["Stripe-Signature"][2:].partition(",")[0]) < 430


@pytest.mark.parametrize(
    ("order", "status"),
    [
        ({"type": "charge.refunded", "id": "order-17"}, 422),
        ({"type": "customer.created", "id": "pi_12345678"}, 422),
        ({"type": "charge.dispute.created", "id": "pi_12345678"}, 422),
        ({"type": "charge.refunded"}, 422),
        ({"type": "charge.refunded", "id": "pi_12345678", "duplicat": True}, 422),
    ],
)
async def test_bad_orders(sender: httpx.AsyncClient, gateway: Gateway, order: dict[str, Any], status: int) -> None:
    assert (await sender.post("/_sandbox/stripe/webhook", json=order)).status_code == status
    assert gateway.received == []
