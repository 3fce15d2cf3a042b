"""Google Play's subscriptions in every state, moved by the vendors' clock."""

from datetime import timedelta

import pytest

from common.clock import format_timestamp, utc_now
from sandbox_service.testing.play import BASE, DAY, PACKAGE, Play


async def test_unseen_token_is_an_active_subscription_until_acknowledged(play: Play) -> None:
    purchase = await play.subscription("unseen.token-1")
    assert purchase["subscriptionState"] == "SUBSCRIPTION_STATE_ACTIVE"
    assert purchase["acknowledgementState"] == "ACKNOWLEDGEMENT_STATE_PENDING"
    assert purchase["lineItems"][0]["productId"] == "pro_monthly"
    assert purchase["lineItems"][0]["autoRenewingPlan"]["autoRenewEnabled"] is True
    assert purchase["lineItems"][0]["latestSuccessfulOrderId"].startswith("GPA.")
    assert "testPurchase" not in purchase

    for _ in range(2):
        response = await play.post("subscriptions/pro_monthly/tokens/unseen.token-1:acknowledge", {})
        assert (response.status_code, response.content) == (204, b"")
    purchase = await play.subscription("unseen.token-1")
    assert purchase["acknowledgementState"] == "ACKNOWLEDGEMENT_STATE_ACKNOWLEDGED"


@pytest.mark.parametrize("token", ["pro_yearly~abc", "pro_yearly:abc"])
async def test_token_carries_its_product(play: Play, token: str) -> None:
    purchase = await play.subscription(token)
    assert purchase["lineItems"][0]["productId"] == "pro_yearly"
    assert (await play.post(f"subscriptions/pro_yearly/tokens/{token}:acknowledge", {})).status_code == 204
    wrong = await play.post(f"subscriptions/pro_monthly/tokens/{token}:acknowledge", {})
    assert wrong.json()["error"]["errors"][0]["reason"] == "purchaseTokenMismatch"


@pytest.mark.parametrize(
    ("marker", "state", "context"),
    [
        ("active", "ACTIVE", None),
        ("grace", "IN_GRACE_PERIOD", "inGracePeriodStateContext"),
        ("on-hold", "ON_HOLD", "onHoldStateContext"),
        ("paused", "PAUSED", "pausedStateContext"),
        ("canceled", "CANCELED", "canceledStateContext"),
        ("expired", "EXPIRED", "canceledStateContext"),
        ("revoked", "EXPIRED", "canceledStateContext"),
        ("pending", "PENDING", None),
        ("pending-purchase-canceled", "PENDING_PURCHASE_CANCELED", None),
    ],
)
async def test_states_by_marker(play: Play, marker: str, state: str, context: str | None) -> None:
    purchase = await play.subscription(f"token-sandbox-{marker}-1")
    assert purchase["subscriptionState"] == f"SUBSCRIPTION_STATE_{state}"
    assert {name for name in purchase if name.endswith("Context")} == ({context} if context else set())
    assert ("startTime" in purchase) == ("pending" not in marker)
    acknowledged = await play.post(f"subscriptions/pro_monthly/tokens/token-sandbox-{marker}-1:acknowledge", {})
    assert acknowledged.status_code == (204 if marker in {"active", "grace", "canceled"} else 400)


async def test_test_purchases_are_marked(play: Play) -> None:
    assert (await play.subscription("token-sandbox-test-1"))["testPurchase"] == {}


@pytest.mark.parametrize(
    ("marker", "status", "reason"),
    [
        ("not-found", 404, "notFound"),
        ("gone", 410, "purchaseTokenNoLongerValid"),
        ("expired-long-ago", 410, "subscriptionNoLongerAvailable"),
        ("unavailable", 400, "failedPrecondition"),
        ("invalid", 400, "invalidValue"),
        ("mismatch", 400, "purchaseTokenMismatch"),
        ("unauthorized", 401, "permissionDenied"),
        ("forbidden", 403, "userInsufficientPermission"),
        ("concurrent", 409, "concurrentUpdate"),
        ("rate-limited", 429, "rateLimitExceeded"),
        ("error-503", 503, "backendError"),
    ],
)
async def test_troubles_by_marker(play: Play, marker: str, status: int, reason: str) -> None:
    response = await play.get(f"subscriptionsv2/tokens/token-sandbox-{marker}-1")
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["errors"][0]["reason"]) == (status, status, reason)
    assert error["errors"][0]["domain"] == "androidpublisher"


async def test_malformed_tokens_packages_and_addresses(play: Play) -> None:
    assert (await play.get("subscriptionsv2/tokens/a%20b%2Fc")).status_code == 400
    assert (await play.get("subscriptionsv2/tokens/abc")).status_code == 400
    assert (await play.get("nonsense")).status_code == 404
    nobody = await play.client.get(
        "/androidpublisher/v3/applications/nodots/purchases/subscriptionsv2/tokens/abcd", headers=play.headers
    )
    assert nobody.json()["error"]["errors"][0]["reason"] == "applicationNotFound"


async def test_subscriptions_renew_by_the_vendors_clock(play: Play) -> None:
    token = "pro_monthly~renewing-sandbox-acknowledged"
    before = (await play.subscription(token))["lineItems"][0]
    await play.advance(65 * DAY)
    after = await play.subscription(token)
    assert after["subscriptionState"] == "SUBSCRIPTION_STATE_ACTIVE"
    assert after["lineItems"][0]["expiryTime"] > before["expiryTime"]
    assert after["lineItems"][0]["latestSuccessfulOrderId"] == before["latestSuccessfulOrderId"] + "..1"


async def test_what_ends_ends_by_the_vendors_clock(play: Play) -> None:
    await play.put("ending-1", state="canceled", acknowledged=True)
    await play.put("ending-2", state="grace_period")
    await play.put("ending-3", state="active", autoRenewing=False, acknowledged=True)
    await play.advance(10 * DAY)
    assert (await play.subscription("ending-1"))["subscriptionState"] == "SUBSCRIPTION_STATE_CANCELED"
    assert (await play.subscription("ending-2"))["subscriptionState"] == "SUBSCRIPTION_STATE_ON_HOLD"
    await play.advance(25 * DAY)
    for token in ("ending-1", "ending-2", "ending-3"):
        assert (await play.subscription(token))["subscriptionState"] == "SUBSCRIPTION_STATE_EXPIRED"
    await play.advance(100 * DAY)
    gone = await play.get("subscriptionsv2/tokens/ending-1")
    assert (gone.status_code, gone.json()["error"]["errors"][0]["reason"]) == (410, "subscriptionNoLongerAvailable")


async def test_paused_subscriptions_resume(play: Play) -> None:
    assert (await play.subscription("token-sandbox-paused"))["pausedStateContext"]["autoResumeTime"]
    await play.advance(31 * DAY)
    assert (await play.subscription("token-sandbox-paused"))["subscriptionState"] == "SUBSCRIPTION_STATE_ACTIVE"


@pytest.mark.parametrize(("token", "seconds"), [("unacknowledged", 3 * DAY), ("unacknowledged-sandbox-test", 180)])
async def test_what_is_not_acknowledged_is_revoked(play: Play, token: str, seconds: int) -> None:
    await play.subscription(token)
    await play.advance(seconds - 20)
    assert (await play.subscription(token))["subscriptionState"] == "SUBSCRIPTION_STATE_ACTIVE"
    await play.advance(40)
    assert (await play.subscription(token))["subscriptionState"] == "SUBSCRIPTION_STATE_EXPIRED"


async def test_a_purchase_set_up_to_end_soon_is_good_until_then(play: Play) -> None:
    soon = format_timestamp(utc_now() + timedelta(seconds=60))
    answer = await play.put("soon-token", kind="subscription", productId="pro", expiryTime=soon, autoRenewing=False)
    purchase = answer.json()["purchase"]
    assert purchase["subscriptionState"] == "SUBSCRIPTION_STATE_ACTIVE"
    assert purchase["acknowledgementState"] == "ACKNOWLEDGEMENT_STATE_PENDING"
    await play.advance(61)
    assert (await play.subscription("soon-token"))["subscriptionState"] == "SUBSCRIPTION_STATE_EXPIRED"


async def test_a_purchase_set_up_in_the_past_ran_out_and_was_not_refunded(play: Play) -> None:
    past = format_timestamp(utc_now() - timedelta(days=5))
    await play.put("past-token", kind="subscription", expiryTime=past, autoRenewing=False)
    purchase = await play.subscription("past-token")
    assert purchase["subscriptionState"] == "SUBSCRIPTION_STATE_EXPIRED"
    assert purchase["lineItems"][0]["expiryTime"] == past


async def test_states_may_be_spelled_as_google_does(play: Play) -> None:
    for state in ("SUBSCRIPTION_STATE_IN_GRACE_PERIOD", "ON_HOLD", "canceled"):
        assert (await play.put("spelled-token", state=state)).status_code == 200
        shown = (await play.subscription("spelled-token"))["subscriptionState"]
        assert shown.endswith(state.upper().removeprefix("SUBSCRIPTION_STATE_"))


async def test_control_sets_every_part(play: Play) -> None:
    await play.subscription("old-token")
    answer = await play.put(
        "new-token",
        kind="subscription",
        productId="pro_yearly",
        state="active",
        expiryTime="2099-01-02T03:04:05.678Z",
        autoRenewing=True,
        linkedPurchaseToken="old-token",
        accountId="9f86d081884c7d65",
        acknowledged=True,
        test=True,
    )
    assert answer.status_code == 200
    purchase = await play.subscription("new-token")
    assert purchase == answer.json()["purchase"]
    assert purchase["lineItems"][0]["expiryTime"] == "2099-01-02T03:04:05.678Z"
    assert purchase["lineItems"][0]["productId"] == "pro_yearly"
    assert purchase["linkedPurchaseToken"] == "old-token"
    assert purchase["externalAccountIdentifiers"] == {"obfuscatedExternalAccountId": "9f86d081884c7d65"}
    assert purchase["testPurchase"] == {}
    old = await play.subscription("old-token")
    assert old["subscriptionState"] == "SUBSCRIPTION_STATE_EXPIRED"
    assert old["canceledStateContext"] == {"replacementCancellation": {}}

    for bad in ({"state": "purchased"}, {"kind": "product"}, {"expiryTime": "soon"}, {"productID": "x"}):
        assert (await play.put("new-token", **bad)).status_code == 422
    assert (await play.put("a b", state="active")).status_code == 422


async def test_a_purchase_belongs_to_one_app(play: Play) -> None:
    await play.subscription("one-app-only")
    other = f"{BASE}/subscriptionsv2/tokens/one-app-only".replace(PACKAGE, "com.example.other")
    response = await play.client.get(other, headers=play.headers)
    assert response.json()["error"]["errors"][0]["reason"] == "purchaseTokenMismatch"
