"""Statuses and bodies, and what a stranger may send."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from common.clients.auth import AccountRead
from common.testing import FakeAuth, Fault, service_token, user_headers, user_token

URL = "/api/user/profile"


def assert_failure(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    body: dict[str, Any] = response.json()
    assert (response.status_code, body["code"]) == (status, code), body
    assert list(body) == ["success", "code", "message", "details", "requestId"]
    return body


async def get(client: httpx.AsyncClient, user: AccountRead) -> dict[str, Any]:
    response = await client.get(URL, headers=user_headers(user.id))
    assert response.status_code == 200, response.text
    data: dict[str, Any] = response.json()["data"]
    return data


async def put(client: httpx.AsyncClient, user: AccountRead, body: Any) -> httpx.Response:
    headers = user_headers(user.id) | {"Content-Type": "application/json"}
    return await client.put(URL, content=json.dumps(body), headers=headers)


async def eventually(check: Callable[[], Awaitable[bool]]) -> None:
    """Wait until ``check`` holds: what heals does so within 10 s."""
    async with asyncio.timeout(10):
        while not await check():  # noqa: ASYNC110 - what is waited for happens in the background, behind HTTP
            await asyncio.sleep(0.02)


async def eventually_shows(client: httpx.AsyncClient, user: AccountRead, field: str, value: str) -> None:
    async def shown() -> bool:
        return bool((await get(client, user))[field] == value)

    await eventually(shown)


async def test_profile_from_the_first_call(client: httpx.AsyncClient, ada: AccountRead) -> None:
    response = await client.get(URL, headers=user_headers(ada.id))
    assert response.headers["Cache-Control"] == "no-store"
    data = response.json()["data"]
    assert list(data) == ["id", "email", "name", "avatarUrl", "createdAt", "updatedAt"]
    assert (data["id"], data["email"], data["name"], data["avatarUrl"]) == (ada.id, "ada@example.com", "Ada", None)
    assert data["createdAt"] == data["updatedAt"]
    assert data["createdAt"].endswith("Z")


async def test_put_answers_the_profile(client: httpx.AsyncClient, ada: AccountRead) -> None:
    body = {"email": " Countess@Example.com ", "name": " Countess ", "avatarUrl": "https://example.com/a.png?x=1"}
    response = await put(client, ada, body)
    assert response.status_code == 200
    data = response.json()["data"]
    assert (data["email"], data["name"], data["avatarUrl"]) == (
        "Countess@example.com",
        "Countess",
        "https://example.com/a.png?x=1",
    )
    assert data["updatedAt"] > data["createdAt"]
    assert data == await get(client, ada)
    cleared = (await put(client, ada, {"name": None, "avatarUrl": None})).json()["data"]
    assert (cleared["email"], cleared["name"], cleared["avatarUrl"]) == ("Countess@example.com", None, None)
    assert (await put(client, ada, {})).json()["data"] == cleared


async def test_email_taken(client: httpx.AsyncClient, auth: FakeAuth, ada: AccountRead) -> None:
    auth.add_account("eve@example.com")
    before = await get(client, ada)
    assert_failure(await put(client, ada, {"email": "EVE@example.com", "name": "Eve"}), 409, "email_taken")
    assert await get(client, ada) == before


async def test_without_auth_only_the_first_call_fails(
    client: httpx.AsyncClient, auth: FakeAuth, ada: AccountRead
) -> None:
    auth.away = True
    response = await client.get(URL, headers=user_headers(ada.id))
    assert_failure(response, 503, "service_unavailable")
    assert int(response.headers["Retry-After"]) > 0
    auth.away = False
    profile = await get(client, ada)
    auth.away = True
    assert await get(client, ada) == profile
    assert_failure(await put(client, ada, {"name": "x"}), 503, "service_unavailable")
    auth.away = False
    await eventually_shows(client, ada, "name", "x")


async def test_an_unknown_outcome_settles_by_itself(
    client: httpx.AsyncClient, auth: FakeAuth, ada: AccountRead
) -> None:
    await get(client, ada)
    auth.faults = [Fault.ANSWER_LOST] * 3
    assert_failure(await put(client, ada, {"email": "countess@example.com"}), 504, "upstream_timeout")
    await eventually_shows(client, ada, "email", "countess@example.com")
    assert auth.accounts[ada.id].email == "countess@example.com"


async def test_an_unknown_outcome_that_was_a_refusal_keeps_the_old_address(
    client: httpx.AsyncClient, auth: FakeAuth, ada: AccountRead, database: Any
) -> None:
    auth.add_account("eve@example.com")
    before = await get(client, ada)
    auth.faults = [Fault.ANSWER_LOST] * 3
    assert_failure(await put(client, ada, {"email": "eve@example.com"}), 504, "upstream_timeout")

    async def nothing_pending() -> bool:
        return await database["profiles"].find_one({"pending": {"$ne": None}}) is None

    await eventually(nothing_pending)
    assert await get(client, ada) == before


async def test_the_healer_outlives_whatever_it_meets(
    client: httpx.AsyncClient, auth: FakeAuth, ada: AccountRead, database: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await get(client, ada)
    auth.away = True
    await put(client, ada, {"email": "countess@example.com"})
    for version, message in ((1, "changes have to wait"), ("broken", "healing failed")):
        await database["profiles"].update_one({"_id": ada.id}, {"$set": {"pending.version": version}})
        caplog.clear()

        async def met(message: str = message) -> bool:
            return message in caplog.text

        await eventually(met)
    auth.away = False
    await database["profiles"].update_one({"_id": ada.id}, {"$set": {"pending.version": 1}})
    await eventually_shows(client, ada, "email", "countess@example.com")


BAD_VALUES: dict[str, list[Any]] = {
    "email": [None, "", "x", "a@b", 1, True, [], {"$ne": ""}, "a\u200b@example.com", "x" * 300],
    "name": ["", " ", "x" * 101, 1, True, [], {"$set": 1}, "a\r\nb", "\ud800", "a\x00"],
    "avatarUrl": [
        "",
        "x",
        "//example.com/a.png",
        "ftp://example.com/a.png",
        "javascript:alert(1)",
        "data:image/png;base64,AAAA",
        "file:///etc/passwd",
        "http://",
        "https://user:secret@example.com/a.png",
        "https://example.com/\r\nSet-Cookie: a=b",
        "https://example.com/a\tb",
        "https://example.com/" + "x" * 2048,
        "https://example.com/" + "é" * 700,
        "https://example.com/\ud800",
        1,
        True,
        ["https://example.com"],
        {"$gt": ""},
    ],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field in BAD_VALUES for value in BAD_VALUES[field]])
async def test_bad_values_are_refused_by_field(
    client: httpx.AsyncClient, ada: AccountRead, field: str, value: Any
) -> None:
    before = await get(client, ada)
    failure = assert_failure(await put(client, ada, {"name": "new", field: value}), 422, "validation_failed")
    assert [detail["field"] for detail in failure["details"]] == [field]
    assert await get(client, ada) == before


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("https://example.com/a.png", "https://example.com/a.png"),
        ("http://127.0.0.1:9/a", "http://127.0.0.1:9/a"),
        ('https://example.com/"><script>', "https://example.com/%22%3E%3Cscript%3E"),
        ("https://bücher.example/ü.png", "https://xn--bcher-kva.example/%C3%BC.png"),
    ],
)
async def test_picture_addresses_are_kept_plain_and_never_opened(
    client: httpx.AsyncClient, auth: FakeAuth, ada: AccountRead, typed: str, stored: str
) -> None:
    await get(client, ada)
    calls = auth.calls
    assert (await put(client, ada, {"avatarUrl": typed})).json()["data"]["avatarUrl"] == stored
    assert auth.calls == calls  # the only way out of this process


async def test_only_the_token_says_who(
    client: httpx.AsyncClient, auth: FakeAuth, ada: AccountRead, database: Any
) -> None:
    eve = auth.add_account("eve@example.com", name="Eve")
    await get(client, ada)
    extra: dict[str, Any] = {
        "id": ada.id,
        "_id": ada.id,
        "userId": ada.id,
        "user_id": ada.id,
        "version": 99,
        "pending": None,
        "role": "admin",
        "createdAt": "1999-01-01T00:00:00.000Z",
        "$set": {"email": "x@example.com"},
        "email.x": "y",
        "__proto__": {"role": "admin"},
    }
    assert (await put(client, eve, {"name": "Mallory", **extra})).json()["data"]["id"] == eve.id
    for query in (f"userId={ada.id}", f"id={ada.id}", "userId[$ne]=x"):
        headers = user_headers(eve.id) | {"X-User-Id": ada.id, "X-Forwarded-User": ada.id}
        response = await client.get(f"{URL}?{query}", headers=headers)
        assert response.json()["data"]["id"] == eve.id
    assert (await get(client, ada))["name"] == "Ada"
    stored = await database["profiles"].find_one({"_id": eve.id})
    assert set(stored) == {
        "_id",
        "email",
        "name",
        "avatar_url",
        "version",
        "pending",
        "refused",
        "created_at",
        "updated_at",
    }
    assert stored["version"] == 1


async def test_who_has_no_good_token_gets_nowhere(client: httpx.AsyncClient, ada: AccountRead) -> None:
    for headers, code in (
        ({}, "missing_token"),
        ({"Authorization": f"Bearer {user_token(ada.id, ttl=-60)}"}, "token_expired"),
        (service_token(audience="user", scope="user:read"), "invalid_token"),
        (user_headers("0" * 24), "invalid_token"),  # well signed, but there is no such account
    ):
        for response in (
            await client.get(URL, headers=headers),
            await client.put(URL, json={"name": "x"}, headers=headers),
        ):
            body = assert_failure(response, 401, code)
            assert "token" in body["message"]
            assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_other_bodies_and_methods(client: httpx.AsyncClient, ada: AccountRead) -> None:
    form = await client.put(URL, data={"name": "x"}, headers=user_headers(ada.id))
    assert_failure(form, 415, "unsupported_media_type")
    headers = user_headers(ada.id) | {"Content-Type": "application/json"}
    for content in (b"", b"{", b"[]", b"null", b"\xff", b"[" * 50_000, b'{"name": NaN}'):
        response = await client.put(URL, content=content, headers=headers)
        assert response.status_code in (400, 422)
    assert_failure(await put(client, ada, {"name": "x" * 2_000_000}), 413, "payload_too_large")
    assert_failure(await client.post(URL, json={}, headers=headers), 405, "method_not_allowed")
    assert_failure(await client.get("/api/user/nothing", headers=headers), 404, "not_found")


async def test_openapi_names_fields_and_errors(client: httpx.AsyncClient) -> None:
    schema = (await client.get("/openapi.json")).json()
    assert set(schema["paths"][URL]["put"]["responses"]) == {"200", "401", "409", "422", "503", "504"}
    request = schema["components"]["schemas"]["ChangeProfileRequest"]
    assert set(request["properties"]) == {"email", "name", "avatarUrl"}
    assert "required" not in request
    assert "null" not in json.dumps(request["properties"]["email"])


async def test_openapi_describes_a_422_as_it_is(client: httpx.AsyncClient) -> None:
    put = (await client.get("/openapi.json")).json()["paths"]["/api/user/profile"]["put"]
    assert put["responses"]["422"]["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorBody")
