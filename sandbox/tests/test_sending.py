"""What vendors send of their own accord, and whether it is signed as theirs."""

import base64
import time
from urllib.parse import parse_qs, unquote

import httpx
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

from sandbox_service.testing.gateway import USER, Gateway, opened, send, settings


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
