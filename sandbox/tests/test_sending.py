"""What vendors send of their own accord, and whether it is signed as theirs."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, unquote

import httpx
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key
from google.auth import jwt as google_jwt
from pydantic import SecretStr

from sandbox_service.main import create_app
from sandbox_service.settings import Settings
from sandbox_service.stripe.events import signature_header

SECRET = "whsec_of_the_tests_00000000000000000000"
USER = "0123456789abcdef01234567"
STRIPE = {"Authorization": "Bearer sk_test_sandbox"}


class Gateway:
    """Remembers what was sent to it.

    Attributes:
        statuses: Of its next answers; 200 when there are none.
        received: Requests, oldest first.
        failures: Of its next answers, none of which comes.
    """

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.received: list[httpx.Request] = []
        self.failures: list[httpx.HTTPError] = []

    def transport(self) -> httpx.MockTransport:
        def answer(request: httpx.Request) -> httpx.Response:
            if self.failures:
                raise self.failures.pop(0)
            self.received.append(request)
            return httpx.Response(self.statuses.pop(0) if self.statuses else 200, json={"success": True})

        return httpx.MockTransport(answer)


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


def settings(**changes: Any) -> Settings:
    values = {"gateway_url": "http://gateway.test", "stripe_webhook_secret": SecretStr(SECRET), **changes}
    return Settings(**values)


async def opened(gateway: Gateway, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(settings, gateway=gateway.transport())
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://sandbox") as client,
    ):
        yield client


@pytest.fixture
async def sender(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    async for client in opened(gateway, settings()):
        yield client


async def send(client: httpx.AsyncClient, path: str, **order: Any) -> dict[str, Any]:
    response = await client.post(f"/_sandbox/{path}", json=order)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def check(client: httpx.AsyncClient, query: str) -> dict[str, str]:
    """Verify a callback with the keys of the key server; return what it says."""
    answer = await client.get("/admob/reward/verifier-keys.json")
    assert "max-age" in answer.headers["Cache-Control"]
    (key,) = answer.json()["keys"]
    public = load_der_public_key(base64.b64decode(key["base64"]))
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert public == load_pem_public_key(key["pem"].encode())
    head, _, tail = query.partition("&signature=")
    signature, _, key_id = tail.partition("&key_id=")
    assert int(key_id) == key["keyId"] > 2**32
    assert "=" not in signature
    public.verify(base64.urlsafe_b64decode(signature + "=="), unquote(head).encode(), ec.ECDSA(hashes.SHA256()))
    names = [part.partition("=")[0] for part in head.split("&")]
    assert names == sorted(names)
    return {name: values[0] for name, values in parse_qs(head, keep_blank_values=True).items()}


async def test_a_reward_is_signed_as_google_signs(sender: httpx.AsyncClient, gateway: Gateway) -> None:
    answer = await send(
        sender, "admob/reward", userId=USER, amount=10, transactionId="t1", customData="a b&c=é+", rewardItem="50 % ½"
    )

    assert (answer["status"], answer["statuses"], answer["body"]) == (200, [200], {"success": True})
    (request,) = gateway.received
    assert (request.method, request.url.host, request.url.path) == ("GET", "gateway.test", "/api/coin/rewards/admob")
    fields = await check(sender, request.url.query.decode())
    assert abs(int(fields.pop("timestamp")) / 1000 - time.time()) < 30
    assert fields == {
        "ad_network": "5450213213286189855",
        "ad_unit": "2747237135",
        "custom_data": "a b&c=é+",
        "reward_amount": "10",
        "reward_item": "50 % ½",
        "transaction_id": "t1",
        "user_id": USER,
    }


async def test_a_reward_may_be_forged_repeated_late_or_of_nobody(sender: httpx.AsyncClient, gateway: Gateway) -> None:
    gateway.statuses = [400, 200, 500]
    assert (await send(sender, "admob/reward", userId=USER, forged=True))["status"] == 400
    with pytest.raises(InvalidSignature):
        await check(sender, gateway.received[0].url.query.decode())

    assert (await send(sender, "admob/reward", duplicate=True, ageSeconds=7200))["statuses"] == [200, 500]
    first, second = gateway.received[1:]
    assert first.url == second.url
    fields = await check(sender, first.url.query.decode())
    assert "user_id" not in fields
    assert len(fields["transaction_id"]) == 32
    assert 7190 < time.time() - int(fields["timestamp"]) / 1000 < 7230


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


async def test_what_is_missing_is_said(gateway: Gateway) -> None:
    async for client in opened(gateway, settings(stripe_webhook_secret=None)):
        answer = await client.post("/_sandbox/stripe/webhook", json={"type": "charge.refunded", "id": "pi_12345678"})
        assert answer.status_code == 409


@pytest.mark.parametrize("failure", [httpx.ConnectError("refused"), httpx.RemoteProtocolError("broke off")])
async def test_answer_that_does_not_come_is_told(
    sender: httpx.AsyncClient, gateway: Gateway, failure: httpx.HTTPError
) -> None:
    gateway.failures = [failure]
    sent = await send(sender, "admob/reward", userId=USER)
    reason = f"http://gateway.test: {type(failure).__name__}"
    assert (sent["status"], sent["statuses"], sent["body"]) == (502, [502], reason)
    gateway.failures = [failure]
    sent = await send(sender, "stripe/webhook", type="payment_intent.succeeded", id="pi_12345678", duplicate=True)
    assert (sent["status"], sent["statuses"], sent["body"]) == (200, [502, 200], {"success": True})
    assert sent["event"]["id"].startswith("evt_")


def test_the_gateway_is_where_the_environment_says() -> None:
    assert settings(gateway_url=None).webhooks_url == "http://localhost:5000"
    assert settings(gateway_url=None, public_url="https://api.test/").webhooks_url == "https://api.test"
    assert settings(gateway_url="http://gateway:5000/").webhooks_url == "http://gateway:5000"


async def pushed(client: httpx.AsyncClient, request: httpx.Request) -> dict[str, Any]:
    """Verify a push with Google's own library; return the notification."""
    certificates = (await client.get("/oauth2/v1/certs")).json()
    claims = google_jwt.decode(  # type: ignore[no-untyped-call]  # the library has no annotations
        request.headers["Authorization"].removeprefix("Bearer "), certs=certificates, audience="pixelmint-tests"
    )
    assert (claims["iss"], claims["email_verified"]) == ("https://accounts.google.com", True)
    assert claims["email"] == "push@pixelmint-sandbox.iam.gserviceaccount.com"
    message = json.loads(request.content)["message"]
    assert message["messageId"] == message["message_id"]
    content: dict[str, Any] = json.loads(base64.b64decode(message["data"]))
    assert (content["version"], content["packageName"]) == ("1.0", "com.example.app")
    return content


async def test_notifications_are_pushed_with_googles_token(gateway: Gateway) -> None:
    async for client in opened(gateway, settings(google_play_push_audience="pixelmint-tests")):
        await client.put("/_sandbox/play/purchases/token-product", json={"kind": "product"})
        order = {"notificationType": 1, "token": "token-product"}
        first = await send(client, "play/notify", **order, duplicate=True)
        await client.put("/_sandbox/play/purchases/token-product", json={"state": "canceled"})
        await send(client, "play/notify", **order)
        await send(client, "play/notify", token="token-plan", notificationType=12, subscriptionId="pro_monthly")
        await send(client, "play/notify", token="token-plan", notificationType="voided", forged=True)

        assert first["statuses"] == [200, 200]
        told = [await pushed(client, request) for request in gateway.received[:4]]
        assert told[0] == told[1] == first["notification"]
        assert gateway.received[0].content == gateway.received[1].content
        assert told[0]["oneTimeProductNotification"]["sku"] == "coins_100"
        voided = told[2]["voidedPurchaseNotification"]
        assert (voided["purchaseToken"], voided["productType"], voided["refundType"]) == ("token-product", 2, 1)
        assert told[3]["subscriptionNotification"]["notificationType"] == 12
        assert [request.url.path.split("/")[2] for request in gateway.received] == ["coin"] * 3 + ["subscription"] * 2
        with pytest.raises(ValueError, match="signature"):
            await pushed(client, gateway.received[4])

        bad: dict[str, Any]
        for bad in ({**order, "notificationType": 0}, {**order, "notificationType": "1"}, {**order, "token": "a b"}):
            assert (await client.post("/_sandbox/play/notify", json=bad)).status_code == 422


async def listed(client: httpx.AsyncClient, path: str, **parameters: Any) -> dict[str, Any]:
    response = await client.get(f"/v1/{path}", params=parameters, headers=STRIPE)
    assert response.status_code == 200, response.text
    page: dict[str, Any] = response.json()
    return page


async def test_refunds_and_disputes_are_listed(sender: httpx.AsyncClient) -> None:
    for number in range(5):
        await sender.post("/_sandbox/clock", json={"advanceSeconds": 100})
        form = {"payment_intent": f"pi_1234567{number}", "amount": "30"}
        made = (await sender.post("/v1/refunds", data=form, headers=STRIPE)).json()
    last = await listed(sender, "refunds", limit=2, **{"expand[]": "data.charge"})
    assert (last["object"], last["has_more"], last["data"][0]["id"]) == ("list", True, made["id"])
    assert last["data"][0]["charge"]["amount_refunded"] == 30
    rest = await listed(sender, "refunds", limit=100, starting_after=last["data"][1]["id"])
    assert (len(rest["data"]), rest["has_more"]) == (3, False)
    assert len((await listed(sender, "refunds", **{"created[gte]": made["created"] - 150}))["data"]) == 2
    assert len((await listed(sender, "refunds", charge="ch_12345670"))["data"]) == 1
    assert (await listed(sender, "disputes"))["data"] == []

    await sender.put("/_sandbox/stripe/payments/pi_12345670", json={"disputeStatus": "won", "refunded": False})
    (dispute,) = (await listed(sender, "disputes", charge="ch_12345670"))["data"]
    assert dispute["status"] == "won"
    (refund,) = (await listed(sender, "refunds", charge="ch_12345670"))["data"]
    assert refund["status"] == "failed"
    charge = (await sender.get("/v1/charges/ch_12345670", headers=STRIPE)).json()
    assert (charge["disputed"], charge["amount_refunded"]) == (True, 0)

    for bad in ({"limit": 101}, {"limit": 0}, {"created[since]": 1}, {"starting_after": "re_0"}, {"customer": "cus_1"}):
        assert (await sender.get("/v1/refunds", params=bad, headers=STRIPE)).status_code == 400
    assert (await sender.get("/v1/refunds")).status_code == 401
