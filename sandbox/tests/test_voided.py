"""Google's list of purchases whose money went back."""

import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from sandbox_service.google.keys import SCOPE
from sandbox_service.google.oauth import GRANT_TYPE

BASE = "/androidpublisher/v3/applications/com.example.app/purchases"
DAY = 86_400

List = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
def account(key_file: Path) -> dict[str, str]:
    content: dict[str, str] = json.loads(key_file.read_text())
    return content


@pytest.fixture
async def headers(client: httpx.AsyncClient, account: dict[str, str]) -> dict[str, str]:
    claims = {"iss": account["client_email"], "scope": SCOPE, "aud": "https://oauth2.googleapis.com/token"}
    now = int(time.time())
    assertion = jwt.encode({**claims, "iat": now, "exp": now + 3600}, account["private_key"], algorithm="RS256")
    answer = await client.post("/token", data={"grant_type": GRANT_TYPE, "assertion": assertion})
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


@pytest.fixture
def voided(client: httpx.AsyncClient, headers: dict[str, str]) -> List:
    async def ask(**parameters: Any) -> dict[str, Any]:
        answer = await client.get(f"{BASE}/voidedpurchases", params=parameters, headers=headers)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    return ask


async def bought(client: httpx.AsyncClient, headers: dict[str, str], token: str) -> None:
    answer = await client.get(f"{BASE}/products/coins_100/tokens/{token}", headers=headers)
    assert answer.json()["purchaseState"] == 0
    await client.post(f"{BASE}/products/coins_100/tokens/{token}:consume", headers=headers)


async def void(client: httpx.AsyncClient, token: str) -> None:
    answer = await client.put(f"/_sandbox/play/purchases/{token}", json={"state": "canceled"})
    assert answer.status_code == 200


async def test_refunded_products_are_listed_once_voided(
    client: httpx.AsyncClient, headers: dict[str, str], voided: List
) -> None:
    for number in range(5):
        await bought(client, headers, f"token-{number}")
    assert await voided() == {}

    for number in (2, 0, 4):
        await client.post("/_sandbox/clock", json={"advanceSeconds": 60})
        await void(client, f"token-{number}")

    found = (await voided())["voidedPurchases"]
    assert [each["purchaseToken"] for each in found] == ["token-2", "token-0", "token-4"]
    assert (found[0]["kind"], found[0]["voidedReason"]) == ("androidpublisher#voidedPurchase", 1)
    assert found[0]["orderId"].startswith("GPA.")
    page = await voided(maxResults=2)
    assert len(page["voidedPurchases"]) == 2
    rest = await voided(maxResults=2, token=page["tokenPagination"]["nextPageToken"])
    assert [each["purchaseToken"] for each in rest["voidedPurchases"]] == ["token-4"]
    assert "tokenPagination" not in rest
    since = await voided(startTime=found[1]["voidedTimeMillis"], includeQuantityBasedPartialRefund="true")
    assert len(since["voidedPurchases"]) == 2
    assert len((await voided(endTime=found[1]["voidedTimeMillis"]))["voidedPurchases"]) == 2

    await client.post("/_sandbox/clock", json={"advanceSeconds": 31 * DAY})
    assert await voided(startTime=0) == {}


async def test_only_what_was_paid_can_be_voided(
    client: httpx.AsyncClient, headers: dict[str, str], voided: List
) -> None:
    for token in ("a-sandbox-canceled", "b-sandbox-pending"):
        await client.get(f"{BASE}/products/coins_100/tokens/{token}", headers=headers)
    await void(client, "b-sandbox-pending")
    assert await voided() == {}

    await client.get(f"{BASE}/products/coins_100/tokens/forgotten", headers=headers)
    await client.post("/_sandbox/clock", json={"advanceSeconds": 3 * DAY + 1})
    (found,) = (await voided())["voidedPurchases"]
    assert (found["purchaseToken"], found["voidedReason"], found["voidedSource"]) == ("forgotten", 8, 2)


async def test_subscriptions_are_listed_where_asked_for(
    client: httpx.AsyncClient, headers: dict[str, str], voided: List
) -> None:
    await client.get(f"{BASE}/subscriptionsv2/tokens/a-subscription", headers=headers)
    await client.put("/_sandbox/play/purchases/a-subscription", json={"state": "revoked"})

    assert await voided() == {}
    assert len((await voided(type=1))["voidedPurchases"]) == 1


async def test_who_may_not_ask(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    assert (await client.get(f"{BASE}/voidedpurchases")).status_code == 401
    other = BASE.replace("com.example.app", "nothing")
    assert (await client.get(f"{other}/voidedpurchases", headers=headers)).status_code == 404
    for bad in ({"startTime": "yesterday"}, {"token": "-1"}, {"maxResults": "x"}, {"startTime": "9" * 15}):
        assert (await client.get(f"{BASE}/voidedpurchases", params=bad, headers=headers)).status_code == 400
