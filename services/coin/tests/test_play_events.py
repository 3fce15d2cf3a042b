"""Google Play's notifications: proven, kept, and believed as far as Google's own list says the same."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from coin_service.testing.client import OpenClient
from coin_service.testing.google_play import FakePlay
from coin_service.testing.google_push import FakeCertificates
from common.clock import utc_now
from common.mongo import Database
from common.testing import user_headers

PATH = "/api/coin/webhooks/google-play"
PACKAGE = "com.example.app"
TOKEN = "abcdefghijk.AO-J1Oz_one"


def push(message_id: str = "1", *, package: str = PACKAGE, token: str = TOKEN, product_type: int = 2) -> bytes:
    voided = {"purchaseToken": token, "orderId": "GPA.1", "productType": product_type, "refundType": 1}
    notification = {"version": "1.0", "packageName": package, "voidedPurchaseNotification": voided}
    return envelope(json.dumps(notification).encode(), message_id)


def envelope(data: bytes, message_id: Any = "1") -> bytes:
    message = {"data": base64.b64encode(data).decode(), "messageId": message_id}
    return json.dumps({"message": message, "subscription": "projects/p/subscriptions/s"}).encode()


async def send(client: httpx.AsyncClient, body: bytes, authorization: str) -> httpx.Response:
    return await client.post(PATH, content=body, headers={"Authorization": authorization})


async def balance(client: httpx.AsyncClient, user_id: str) -> int:
    coins: int = (await client.get("/api/coin/balance", headers=user_headers(user_id))).json()["data"]["balance"]
    return coins


async def in_state(database: Database, state: str, count: int) -> None:
    async with asyncio.timeout(20):
        while True:
            if await database["inbox"].count_documents({"state": state}) == count:
                return
            await asyncio.sleep(0.02)


@pytest_asyncio.fixture
async def pushed(
    open_client: OpenClient, certificates: FakeCertificates, play: FakePlay, ada: str
) -> AsyncIterator[httpx.AsyncClient]:
    """The service, and a purchase of 100 coins."""
    settings = {
        "google_play_push_audience": certificates.audience,
        "google_play_push_email": certificates.email,
    }
    async with open_client(**settings) as opened:
        play.sell(TOKEN)
        body = {"amount": 100, "paymentMethod": "google_play", "transactionId": TOKEN, "productId": "coins_100"}
        assert (await opened.post("/api/coin/buy", json=body, headers=user_headers(ada))).status_code == 200
        yield opened


async def test_voided_purchase_is_taken_back_once(
    pushed: httpx.AsyncClient, certificates: FakeCertificates, play: FakePlay, database: Database, ada: str
) -> None:
    play.voided = [{"purchaseToken": TOKEN}]
    bodies = [push("1"), push("1"), push("2"), push("3")]
    answers = await asyncio.gather(*(send(pushed, body, certificates.sign()) for body in bodies))
    assert {answer.status_code for answer in answers} == {200}
    assert sorted(answer.json()["data"]["duplicate"] for answer in answers) == [False, False, False, True]
    await in_state(database, "done", 3)
    assert await balance(pushed, ada) == 100
    assert len(certificates.asked) == 1


async def test_notification_that_the_list_does_not_confirm(
    pushed: httpx.AsyncClient, certificates: FakeCertificates, play: FakePlay, database: Database, ada: str
) -> None:
    await send(pushed, push(), certificates.sign())
    await in_state(database, "retry", 1)
    assert await balance(pushed, ada) == 200
    play.voided = [{"purchaseToken": TOKEN}]
    await database["inbox"].update_one({}, {"$set": {"next_at": utc_now()}})
    await in_state(database, "done", 1)
    assert await balance(pushed, ada) == 100


async def test_notification_is_given_up(
    pushed: httpx.AsyncClient, certificates: FakeCertificates, database: Database, ada: str
) -> None:
    await send(pushed, push(), certificates.sign())
    await in_state(database, "retry", 1)
    old = utc_now() - timedelta(days=2)
    await database["inbox"].update_one({}, {"$set": {"received_at": old, "next_at": old}})
    await in_state(database, "done", 1)
    assert await balance(pushed, ada) == 200


async def test_what_is_nothing_to_us(
    pushed: httpx.AsyncClient, certificates: FakeCertificates, play: FakePlay, database: Database, ada: str
) -> None:
    play.voided = [{"purchaseToken": TOKEN}]
    asked = len(play.asked)
    foreign = [push("1", package="com.another.app"), push("2", product_type=1), envelope(b"{}", "3")]
    for body in [*foreign, envelope(b'{"voidedPurchaseNotification": 1, "packageName": "com.example.app"}', "4")]:
        assert (await send(pushed, body, certificates.sign())).status_code == 200
    await in_state(database, "done", 4)
    for body in (b"", b"{", b"[]", b'{"message":{}}', envelope(b"x"), envelope(b"[]"), envelope(b"{}", 7)):
        assert (await send(pushed, body, certificates.sign())).status_code == 200
    assert await database["inbox"].count_documents({}) == 4
    assert len(play.asked) == asked
    assert await balance(pushed, ada) == 200


@pytest.mark.parametrize(
    "claims", [{"aud": "https://another"}, {"email": "a@b.c"}, {"email_verified": False}, {"exp": 1}]
)
async def test_forged_push_changes_nothing(
    pushed: httpx.AsyncClient,
    certificates: FakeCertificates,
    play: FakePlay,
    database: Database,
    claims: dict[str, Any],
) -> None:
    play.voided = [{"purchaseToken": TOKEN}]
    for authorization in (certificates.sign(**claims), "", "Bearer x"):
        response = await send(pushed, push(), authorization)
        assert (response.status_code, response.json()["code"]) == (400, "invalid_signature")
    assert await database["inbox"].count_documents({}) == 0


async def test_without_certificates_or_settings(
    pushed: httpx.AsyncClient, client: httpx.AsyncClient, certificates: FakeCertificates
) -> None:
    certificates.answers = [500]
    response = await send(pushed, push(), certificates.sign())
    assert (response.status_code, response.json()["code"]) == (503, "service_unavailable")
    response = await send(client, push(), certificates.sign())
    assert (response.status_code, response.json()["code"]) == (503, "webhooks_not_configured")
