"""Google Play's notifications, as Pub/Sub pushes them."""

import base64
import json
from typing import Any

import httpx
import pytest
from google.auth import jwt as google_jwt

from sandbox_service.testing.gateway import Gateway, opened, send, settings


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
