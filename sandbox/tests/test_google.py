"""Google: the real client library gets a token; purchases in every state, moved by the vendors' clock."""

import asyncio
import json
import stat
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import Request
from google.oauth2 import service_account

from common.clock import format_timestamp, utc_now
from sandbox_service import credentials
from sandbox_service.credentials import ForeignCredentialsError, ensure_service_account
from sandbox_service.google.keys import SCOPE
from sandbox_service.google.oauth import GRANT_TYPE

PACKAGE = "com.example.pixelmint"
BASE = f"/androidpublisher/v3/applications/{PACKAGE}/purchases"
DAY = 86_400


class Play:
    """Calls of the Android Publisher API with a good access token."""

    def __init__(self, client: httpx.AsyncClient, headers: dict[str, str]) -> None:
        self.client = client
        self.headers = headers

    async def get(self, path: str) -> httpx.Response:
        return await self.client.get(f"{BASE}/{path}", headers=self.headers)

    async def post(self, path: str, body: Any = None) -> httpx.Response:
        return await self.client.post(f"{BASE}/{path}", headers=self.headers, json=body)

    async def subscription(self, token: str) -> dict[str, Any]:
        response = await self.get(f"subscriptionsv2/tokens/{token}")
        assert response.status_code == 200, response.text
        purchase: dict[str, Any] = response.json()
        return purchase

    async def put(self, token: str, **body: Any) -> httpx.Response:
        return await self.client.put(f"/_sandbox/play/purchases/{token}", json=body)

    async def advance(self, seconds: float) -> None:
        response = await self.client.post("/_sandbox/clock", json={"advanceSeconds": seconds})
        assert response.status_code == 200


@pytest.fixture
def account(client: httpx.AsyncClient, key_file: Path) -> dict[str, Any]:
    """The service account that the running sandbox trusts."""
    content: dict[str, Any] = json.loads(key_file.read_text())
    return content


def claims_of(account: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """What google-auth puts into an assertion; ``iat`` and ``exp`` of ``changes`` count from now."""
    now = int(time.time())
    claims = {"iss": account["client_email"], "scope": SCOPE, "aud": "https://oauth2.googleapis.com/token"}
    times = {"iat": now + changes.pop("iat", 0), "exp": now + changes.pop("exp", 3600)}
    return claims | times | changes


async def ask_token(client: httpx.AsyncClient, account: dict[str, Any], claims: dict[str, Any]) -> httpx.Response:
    key_id = {"kid": account["private_key_id"]}
    assertion = jwt.encode(claims, account["private_key"], "RS256", headers=key_id)
    return await client.post("/token", data={"grant_type": GRANT_TYPE, "assertion": assertion})


@pytest.fixture
async def play(client: httpx.AsyncClient, account: dict[str, Any]) -> Play:
    token = (await ask_token(client, account, claims_of(account))).json()["access_token"]
    return Play(client, {"Authorization": f"Bearer {token}"})


# --- credentials and tokens


def test_key_file_is_private_kept_and_readdressed(tmp_path: Path) -> None:
    path = tmp_path / "new" / "play.json"
    first = ensure_service_account(path, "http://127.0.0.1:5010/")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert first["token_uri"] == "http://127.0.0.1:5010/token"

    moved = ensure_service_account(path, "http://sandbox:5010", world_readable=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert moved["token_uri"] == "http://sandbox:5010/token"
    assert moved["private_key"] == first["private_key"]
    assert [file.name for file in path.parent.iterdir()] == ["play.json"]


def test_a_real_key_is_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "real.json"
    path.write_text(json.dumps({"type": "service_account", "project_id": "my-company"}))
    before = path.read_bytes()
    with pytest.raises(ForeignCredentialsError):
        ensure_service_account(path, "http://sandbox:5010")
    assert credentials.main(["--out", str(path), "--base-url", "http://sandbox:5010"]) == 1
    assert "does not belong to the sandbox" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_command_line_makes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "play.json"
    assert credentials.main(["--out", str(path), "--base-url", "http://sandbox:5010"]) == 0
    assert json.loads(path.read_text())["token_uri"] == "http://sandbox:5010/token"


async def test_googles_own_library_gets_in(socket_client: httpx.AsyncClient, key_file: Path) -> None:
    # google-auth's own functions carry no types.
    credentials = service_account.Credentials.from_service_account_file(  # type: ignore[no-untyped-call]
        str(key_file), scopes=[SCOPE]
    )
    await asyncio.to_thread(credentials.refresh, Request())
    assert credentials.valid

    purchase = await Play(socket_client, {"Authorization": f"Bearer {credentials.token}"}).subscription("by-library")
    assert purchase["kind"] == "androidpublisher#subscriptionPurchaseV2"


async def test_another_key_gets_no_token(server: str, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    ensure_service_account(path, server)
    # google-auth's own functions carry no types.
    stranger = service_account.Credentials.from_service_account_file(  # type: ignore[no-untyped-call]
        str(path), scopes=[SCOPE]
    )
    with pytest.raises(RefreshError, match="invalid_grant"):
        await asyncio.to_thread(stranger.refresh, Request())


@pytest.mark.parametrize(
    ("claims", "error"),
    [
        ({}, None),
        ({"aud": "https://elsewhere.example/token"}, "invalid_grant"),
        ({"iss": "someone@else.example"}, "invalid_grant"),
        ({"exp": -3600}, "invalid_grant"),
        ({"exp": 7200}, "invalid_grant"),
        ({"iat": 3000}, "invalid_grant"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "https://www.googleapis.com/auth/drive"}, "invalid_scope"),
    ],
)
async def test_assertions_are_verified(
    client: httpx.AsyncClient, account: dict[str, Any], claims: dict[str, Any], error: str | None
) -> None:
    response = await ask_token(client, account, claims_of(account, **claims))

    if error is None:
        assert response.status_code == 200
        assert response.json()["token_type"] == "Bearer"
    else:
        assert (response.status_code, response.json()["error"]) == (400, error)


async def test_unsigned_and_missing_assertions(client: httpx.AsyncClient, account: dict[str, Any]) -> None:
    unsigned = jwt.encode({"iss": account["client_email"]}, "", "none")
    for form, error in (
        ({"grant_type": GRANT_TYPE, "assertion": unsigned}, "invalid_grant"),
        ({"grant_type": GRANT_TYPE, "assertion": "a.b.c"}, "invalid_grant"),
        ({"grant_type": GRANT_TYPE}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({}, "invalid_request"),
    ):
        response = await client.post("/token", data=form)
        assert (response.status_code, response.json()["error"]) == (400, error)


async def test_tokens_outlive_a_reset_and_forged_ones_fail(play: Play) -> None:
    await play.client.post("/_sandbox/reset")
    await play.subscription("still-good-token")
    issued = play.headers["Authorization"]
    forged = issued[:-1] + ("0" if issued[-1] != "0" else "1")
    for bad in ("", "Bearer x", "Bearer ya29.9999999999.0", "Bearer ya29.²²²²²²²²²².0", forged):
        url = f"{BASE}/subscriptionsv2/tokens/abcd"
        response = await play.client.get(url, headers={b"Authorization": bad.encode()})
        assert response.status_code == 401
        assert response.json()["error"]["status"] == "UNAUTHENTICATED"


# --- subscriptions


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


# --- one-time products


async def test_one_time_products_are_consumed_once(play: Play) -> None:
    path = "products/coins_500/tokens/one-time-token"
    product = (await play.get(path)).json()
    assert (product["purchaseState"], product["consumptionState"], product["acknowledgementState"]) == (0, 0, 0)
    assert product["productId"] == "coins_500"
    newer = (await play.get("productsv2/tokens/one-time-token")).json()
    assert newer["purchaseStateContext"] == {"purchaseState": "PURCHASED"}
    assert newer["productLineItem"][0]["productId"] == "coins_500"

    assert (await play.post(f"{path}:acknowledge", {})).status_code == 204
    assert (await play.post(f"{path}:consume")).status_code == 204
    again = await play.post(f"{path}:consume")
    assert (again.status_code, again.json()["error"]["errors"][0]["reason"]) == (400, "productNotOwnedByUser")
    product = (await play.get(path)).json()
    assert (product["consumptionState"], product["acknowledgementState"]) == (1, 1)
    assert (await play.get("products/coins_100/tokens/one-time-token")).status_code == 400
    assert (await play.get("subscriptionsv2/tokens/one-time-token")).status_code == 404


async def test_one_time_products_in_other_states(play: Play) -> None:
    assert (await play.get("products/coins_100/tokens/t-sandbox-pending-1")).json()["purchaseState"] == 2
    assert (await play.get("products/coins_100/tokens/t-sandbox-canceled-1")).json()["purchaseState"] == 1
    assert (await play.get("products/coins_100/tokens/t-sandbox-test-1")).json()["purchaseType"] == 0
    assert (await play.post("products/coins_100/tokens/t-sandbox-pending-1:consume")).status_code == 400
    await play.put("product-put", kind="product", productId="coins_100", state="canceled")
    newer = (await play.get("productsv2/tokens/product-put")).json()
    assert newer["purchaseStateContext"]["purchaseState"] == "CANCELLED"
