"""Statuses and bodies of the public routes."""

import json
from typing import Any

import httpx
import pytest

from common.testing import service_token, user_headers
from common.testing.auth import FakeAuth, Fault

Json = dict[str, Any]


async def call(
    client: httpx.AsyncClient, user_id: str, method: str, path: str, body: Any = None, *, key: str | None = None
) -> httpx.Response:
    headers = user_headers(user_id) | ({"Idempotency-Key": key} if key else {})
    return await client.request(method, f"/api/coin/{path}", json=body, headers=headers)


async def post(client: httpx.AsyncClient, user_id: str, path: str, body: Any, *, key: str | None = None) -> Json:
    response = await call(client, user_id, "POST", path, body, key=key)
    assert response.status_code == 200, response.text
    data: Json = response.json()["data"]
    return data


async def get(client: httpx.AsyncClient, user_id: str, path: str) -> Json:
    response = await call(client, user_id, "GET", path)
    assert response.status_code == 200, response.text
    data: Json = response.json()["data"]
    return data


def assert_failure(response: httpx.Response, status: int, code: str) -> Json:
    body: Json = response.json()
    assert (response.status_code, body["code"]) == (status, code), response.text
    assert set(body) == {"success", "code", "message", "details", "requestId"}
    return body


async def test_new_wallet_has_the_bonus_once(client: httpx.AsyncClient, ada: str) -> None:
    for _ in range(2):
        balance = await get(client, ada, "balance")
        assert (balance["balance"], balance["held"]) == (100, 0)
        assert set(balance) == {"balance", "held", "updatedAt"}
    listed = await get(client, ada, "transactions")
    (bonus,) = listed["transactions"]
    assert bonus == {
        "id": bonus["id"],
        "type": "bonus",
        "amount": 100,
        "balanceAfter": 100,
        "source": "signup",
        "paymentMethod": None,
        "transactionId": None,
        "reason": None,
        "reference": None,
        "createdAt": balance["updatedAt"],
    }
    assert listed["pagination"] == {
        "page": 1,
        "limit": 10,
        "total": 1,
        "totalPages": 1,
        "hasNext": False,
        "nextCursor": None,
    }


async def test_bonus_may_be_nothing(open_client: Any, ada: str) -> None:
    async with open_client(signup_bonus_coins=0) as client:
        assert (await get(client, ada, "balance"))["balance"] == 0
        assert (await get(client, ada, "transactions"))["transactions"] == []


async def test_deduct(client: httpx.AsyncClient, ada: str) -> None:
    data = await post(client, ada, "deduct", {"amount": 5, "reason": "a sticker"})
    assert data["balance"] == 95
    line = data["transaction"]
    assert (line["type"], line["amount"], line["balanceAfter"], line["reason"]) == ("deduct", -5, 95, "a sticker")

    body = assert_failure(await call(client, ada, "POST", "deduct", {"amount": 96}), 402, "insufficient_coins")
    assert body["details"] == {"required": 96, "balance": 95}
    assert (await get(client, ada, "balance"))["balance"] == 95
    assert (await post(client, ada, "deduct", {"amount": 95}))["balance"] == 0


BAD_AMOUNTS = ["0", "-1", "1.0", "1.5", '"10"', "true", "null", "[]", "{}", "NaN", "Infinity", "1e400", "1000001"]


@pytest.mark.parametrize("path", ["deduct", "earn", "buy"])
@pytest.mark.parametrize("amount", [*BAD_AMOUNTS, "9" * 400])
async def test_amounts_are_whole_and_in_range(client: httpx.AsyncClient, ada: str, path: str, amount: str) -> None:
    rest = '"source": "ad_watch", "paymentMethod": "stripe", "transactionId": "pi_12345678"'
    headers = user_headers(ada) | {"Content-Type": "application/json"}
    response = await client.post(f"/api/coin/{path}", content=f'{{"amount": {amount}, {rest}}}', headers=headers)
    assert_failure(response, 422, "validation_failed")
    assert (await get(client, ada, "balance"))["balance"] == 100


async def test_unknown_fields_move_nothing(client: httpx.AsyncClient, ada: str, bob: str) -> None:
    extra = {"balance": 999, "coins": 999, "userId": bob, "user_id": bob, "$set": {"balance": 9}, "type": "grant"}
    data = await post(client, ada, "deduct", {"amount": 1, **extra})
    assert (data["balance"], data["transaction"]["type"]) == (99, "deduct")
    assert (await get(client, bob, f"balance?userId={ada}"))["balance"] == 100


@pytest.mark.parametrize("reason", ["x" * 201, 7, ["a"], "a\u0000b"])
async def test_reason_is_a_short_text(client: httpx.AsyncClient, ada: str, reason: Any) -> None:
    body = assert_failure(
        await call(client, ada, "POST", "deduct", {"amount": 1, "reason": reason}), 422, "validation_failed"
    )
    assert body["details"][0]["field"] == "reason"


async def test_same_key_is_the_same_request(client: httpx.AsyncClient, ada: str, bob: str) -> None:
    first = await call(client, ada, "POST", "deduct", {"amount": 60}, key="k1")
    await post(client, ada, "deduct", {"amount": 10})
    again = await call(client, ada, "POST", "deduct", {"amount": 60}, key="k1")  # 402, were it a new one
    in_body = await call(client, ada, "POST", "deduct", {"amount": 60, "idempotencyKey": "k1"})
    assert first.json()["data"] == again.json()["data"] == in_body.json()["data"]
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == in_body.headers["Idempotent-Replayed"] == "true"
    assert (await get(client, ada, "balance"))["balance"] == 30

    for path, body in (("deduct", {"amount": 61}), ("earn", {"amount": 10, "source": "ad_watch"})):
        assert_failure(await call(client, ada, "POST", path, body, key="k1"), 422, "idempotency_key_reused")
    assert (await post(client, bob, "deduct", {"amount": 1}, key="k1"))["balance"] == 99


async def test_refused_request_may_be_corrected_under_its_key(client: httpx.AsyncClient, ada: str) -> None:
    assert_failure(await call(client, ada, "POST", "deduct", {"amount": 101}, key="k"), 402, "insufficient_coins")
    assert (await post(client, ada, "deduct", {"amount": 100}, key="k"))["balance"] == 0


async def test_earn_within_the_rules(open_client: Any, ada: str) -> None:
    rules = {
        "ad_watch": {"maxAmount": 10, "cooldownSeconds": 0, "dailyLimit": 25},
        "survey": {"maxAmount": 50, "cooldownSeconds": 60, "dailyLimit": 100},
    }
    async with open_client(earn_rules=rules) as client:
        first = await call(client, ada, "POST", "earn", {"amount": 10, "source": "ad_watch"}, key="e")
        data = first.json()["data"]
        assert (data["balance"], data["remainingToday"], data["transaction"]["source"]) == (110, 15, "ad_watch")
        assert (first.headers["RateLimit-Limit"], first.headers["RateLimit-Remaining"]) == ("25", "15")
        assert 0 < int(first.headers["RateLimit-Reset"]) <= 86_400
        await post(client, ada, "earn", {"amount": 10, "source": "ad_watch"})
        again = await call(client, ada, "POST", "earn", {"amount": 10, "source": "ad_watch"}, key="e")
        assert (again.json(), again.headers["Idempotent-Replayed"]) == (first.json(), "true")

        over = await call(client, ada, "POST", "earn", {"amount": 6, "source": "ad_watch"})
        details = assert_failure(over, 429, "earn_limit_reached")["details"]
        assert details == {"source": "ad_watch", "limit": "daily_limit", "remainingToday": 5}
        assert 0 < int(over.headers["Retry-After"]) <= 86_400
        assert over.headers["RateLimit-Remaining"] == "5"
        assert (await post(client, ada, "earn", {"amount": 5, "source": "ad_watch"}))["remainingToday"] == 0

        await post(client, ada, "earn", {"amount": 50, "source": "survey"})
        soon = await call(client, ada, "POST", "earn", {"amount": 50, "source": "survey"})
        assert assert_failure(soon, 429, "earn_limit_reached")["details"]["limit"] == "cooldown"
        assert 55 <= int(soon.headers["Retry-After"]) <= 60

        large = await call(client, ada, "POST", "earn", {"amount": 51, "source": "survey"})
        assert assert_failure(large, 422, "amount_too_large")["details"][0]["field"] == "amount"
        unknown = await call(client, ada, "POST", "earn", {"amount": 1, "source": "magic"})
        assert assert_failure(unknown, 422, "unknown_source")["details"][0]["field"] == "source"
        assert (await get(client, ada, "balance"))["balance"] == 175


async def test_default_reward_has_a_cooldown(client: httpx.AsyncClient, ada: str) -> None:
    assert (await post(client, ada, "earn", {"amount": 10, "source": "ad_watch"}))["remainingToday"] == 90
    response = await call(client, ada, "POST", "earn", {"amount": 10, "source": "ad_watch"})
    assert_failure(response, 429, "earn_limit_reached")
    assert 1 <= int(response.headers["Retry-After"]) <= 30


async def test_token_of_a_user_that_is_gone(client: httpx.AsyncClient, auth: FakeAuth) -> None:
    for method, path, body in (
        ("GET", "balance", None),
        ("GET", "transactions", None),
        ("POST", "deduct", {"amount": 1}),
        ("POST", "earn", {"amount": 1, "source": "ad_watch"}),
        ("POST", "buy", {"amount": 1, "paymentMethod": "stripe", "transactionId": "pi_12345678"}),
    ):
        response = await call(client, "f" * 24, method, path, body)
        assert "token" in assert_failure(response, 401, "invalid_token")["message"]
        assert response.headers["WWW-Authenticate"] == "Bearer"
    assert auth.calls == 5


async def test_auth_is_asked_at_the_first_touch_only(client: httpx.AsyncClient, auth: FakeAuth, ada: str) -> None:
    auth.away = True
    assert_failure(await call(client, ada, "GET", "balance"), 503, "service_unavailable")
    auth.away = False
    assert (await get(client, ada, "balance"))["balance"] == 100
    auth.away = True
    assert (await post(client, ada, "deduct", {"amount": 1}))["balance"] == 99
    assert auth.calls == 1


@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.ANSWER_LOST])
async def test_short_fault_of_auth_is_not_noticed(
    client: httpx.AsyncClient, auth: FakeAuth, ada: str, fault: Fault
) -> None:
    auth.faults = [fault]
    assert (await post(client, ada, "deduct", {"amount": 1}))["balance"] == 99


async def test_every_public_route_wants_a_users_token(client: httpx.AsyncClient) -> None:
    routes = (("GET", "balance"), ("GET", "transactions"), ("POST", "buy"), ("POST", "earn"), ("POST", "deduct"))
    for method, path in routes:
        for headers in ({}, service_token(audience="coin", scope="coin:read")):
            response = await client.request(method, f"/api/coin/{path}", headers=headers)
            assert response.status_code in (401, 415), response.text
            response = await client.request(method, f"/api/coin/{path}", json={"amount": 1}, headers=headers)
            assert response.status_code == 401


async def test_openapi_describes_the_failures(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    public = {path: operations for path, operations in paths.items() if not path.startswith("/internal/")}
    assert "HTTPValidationError" not in json.dumps(public)  # the framework's 422 is none of our answers
    assert {"200", "402", "404", "409", "422", "502", "503"} <= set(paths["/api/coin/buy"]["post"]["responses"])
    assert "insufficient_coins" in paths["/api/coin/deduct"]["post"]["responses"]["402"]["description"]
