"""Statuses and bodies, as a phone and as the image service sees them."""

import asyncio

import httpx
import pytest

from common.clients.subscription import READ_SCOPE, SubscriptionClient
from common.service_auth import ServiceTokenSigner
from common.testing import service_token, user_headers
from common.testing.apps import TEST_SECRETS
from subscription_service.testing.callers import OpenClient
from subscription_service.testing.clock import Clock
from subscription_service.testing.google_play import FakePlay
from subscription_service.testing.phone import NONE, Headers, status, verify


async def test_verify_and_status_give_the_same_subscription(
    client: httpx.AsyncClient, play: FakePlay, ada: Headers
) -> None:
    play.put("t1")
    answer = await verify(client, ada)
    assert answer.status_code == 200
    assert answer.json() == {
        "success": True,
        "data": {
            "subscription": {
                "status": "active",
                "isActive": True,
                "productId": "pro_monthly",
                "planName": "Pro Monthly",
                "expiresAt": "2026-10-31T10:00:00.000Z",
                "autoRenewing": True,
                "inGracePeriod": False,
                "testPurchase": False,
                "manageUrl": "https://play.google.com/store/account/subscriptions"
                "?sku=pro_monthly&package=com.example.app",
            }
        },
    }
    assert await status(client, ada) == answer.json()["data"]["subscription"]
    assert play.acknowledged == [("com.example.app", "pro_monthly", "t1")]


async def test_status_without_a_subscription(client: httpx.AsyncClient, ada: Headers) -> None:
    assert await status(client, ada) == NONE


async def test_a_grace_period_asks_for_a_payment(client: httpx.AsyncClient, play: FakePlay, ada: Headers) -> None:
    play.put("t1", "IN_GRACE_PERIOD", days=2, testPurchase={})
    subscription = (await verify(client, ada)).json()["data"]["subscription"]
    assert subscription["inGracePeriod"]
    assert subscription["isActive"]
    assert subscription["testPurchase"]


async def test_a_pending_purchase_is_a_success_that_grants_nothing(
    client: httpx.AsyncClient, play: FakePlay, ada: Headers
) -> None:
    play.put("t1", "PENDING", days=None)
    answer = await verify(client, ada)
    subscription = answer.json()["data"]["subscription"]
    assert (answer.status_code, subscription["status"], subscription["isActive"]) == (200, "pending", False)
    assert subscription["expiresAt"] is None


async def test_plan_names(open_client: OpenClient, play: FakePlay, ada: Headers) -> None:
    play.put("t1")
    async with open_client(subscription_plans={"pro_monthly": "Pixelmint Pro"}) as client:
        assert (await verify(client, ada)).json()["data"]["subscription"]["planName"] == "Pixelmint Pro"


async def test_another_users_subscription_cannot_be_asked_for(
    client: httpx.AsyncClient, play: FakePlay, ada: Headers, bob: Headers
) -> None:
    play.put("t1")
    await verify(client, ada)
    for query in ["userId=" + "a" * 24, "userId[$ne]=x", "user_id=" + "a" * 24]:
        answer = await client.get(f"/api/subscription/status?{query}", headers=bob)
        assert answer.json()["data"]["subscription"] == NONE
    answer = await client.get("/api/subscription/status", headers=bob | {"X-User-Id": "a" * 24})
    assert answer.json()["data"]["subscription"] == NONE


async def test_both_routes_want_a_user(client: httpx.AsyncClient) -> None:
    service = service_token(audience="subscription", scope=READ_SCOPE)
    for headers in ({}, {"Authorization": "Bearer x"}, service):
        for answer in (await verify(client, headers), await client.get("/api/subscription/status", headers=headers)):
            assert answer.status_code == 401
            assert "token" in answer.json()["message"]
            assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_two_users_at_once_by_http(client: httpx.AsyncClient, play: FakePlay) -> None:
    play.put("t1")
    users = [user_headers(digit * 24) for digit in "0123456789"]
    answers = await asyncio.gather(*(verify(client, user) for user in users))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 9
    active = [(await status(client, user))["isActive"] for user in users]
    assert active.count(True) == 1
    assert len(play.acknowledged) == 1


async def test_entitlements_by_the_client_of_the_mesh(
    client: httpx.AsyncClient, play: FakePlay, ada: Headers, clock: Clock
) -> None:
    subscriptions = SubscriptionClient(client, ServiceTokenSigner(TEST_SECRETS["service_secret"], caller="image"))
    entitlement = await subscriptions.entitlement("a" * 24)
    assert (entitlement.active, entitlement.until) == (False, None)
    play.put("t1")
    await verify(client, ada)
    entitlement = await subscriptions.entitlement("a" * 24)
    assert entitlement.covers(clock.now)
    assert entitlement.until is not None
    assert (entitlement.until - clock.now).days == 30


async def test_entitlements_are_for_services_only(client: httpx.AsyncClient, ada: Headers) -> None:
    path = f"/internal/entitlements/{'a' * 24}"
    assert (await client.get(path)).status_code == 401
    assert (await client.get(path, headers=ada)).status_code == 401
    other = service_token(audience="subscription", scope="subscription:write")
    assert (await client.get(path, headers=other)).status_code == 403
    elsewhere = service_token(audience="coin", scope=READ_SCOPE)
    assert (await client.get(path, headers=elsewhere)).status_code == 401
    good = service_token(audience="subscription", scope=READ_SCOPE)
    assert (await client.get(path, headers=good)).status_code == 200
    for odd in ["x", "A" * 24, "a" * 25, "%00" * 24, "a%2fb"]:
        assert (await client.get(f"/internal/entitlements/{odd}", headers=good)).status_code in (404, 422)


async def test_tokens_are_in_no_log_and_no_answer(
    open_client: OpenClient, play: FakePlay, ada: Headers, bob: Headers, capsys: pytest.CaptureFixture[str]
) -> None:
    token = "very-secret-purchase-token"
    play.put(token)
    echo = b'{"subscriptionState": "' + token.encode() + b'", "lineItems": ["' + token.encode() + b'"]}'
    async with open_client() as client:  # here, not in a fixture: the log goes where stdout is by now
        answers = [await verify(client, ada, purchaseToken=token), await verify(client, bob, purchaseToken=token)]
        play.answers = [echo, 403, 500]
        answers += [await verify(client, ada, purchaseToken=token) for _ in range(3)]
    assert not any(token in answer.text for answer in answers)
    log = capsys.readouterr().out
    assert "purchase verified" in log
    assert "google play answered what cannot be read" in log
    for secret in (token, "ya29", TEST_SECRETS["jwt_secret"].get_secret_value(), "PRIVATE KEY"):
        assert secret not in log


async def test_the_schema_names_routes_and_errors(client: httpx.AsyncClient) -> None:
    schema = (await client.get("/openapi.json")).json()
    assert set(schema["paths"]) >= {"/api/subscription/verify", "/api/subscription/status"}
    described = schema["paths"]["/api/subscription/verify"]["post"]["responses"]
    assert set(described) >= {"200", "401", "404", "409", "410", "422", "502", "503"}
    assert "package_not_allowed" in described["422"]["description"]
