"""Statuses and bodies, and what a stranger may send."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from auth_service.main import create_app
from auth_service.settings import Settings
from common.auth import TokenVerifier
from common.testing import TEST_SECRETS, app_client, service_token, user_headers

PASSWORD = "correct horse battery"


async def register(client: httpx.AsyncClient, email: str = "ada@example.com", **fields: Any) -> httpx.Response:
    return await client.post("/api/auth/register", json={"email": email, "password": PASSWORD, **fields})


async def login(client: httpx.AsyncClient, email: str = "ada@example.com", password: str = PASSWORD) -> httpx.Response:
    return await client.post("/api/auth/login", json={"email": email, "password": password})


def assert_failure(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    body: dict[str, Any] = response.json()
    assert (response.status_code, body["code"]) == (status, code), body
    assert list(body) == ["success", "code", "message", "details", "requestId"]
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    return body


async def test_register_signs_in(client: httpx.AsyncClient) -> None:
    response = await register(client, " Ada@Example.com ", name=" Ada Lovelace ")
    assert response.status_code == 201
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["RateLimit-Limit"] == "50"
    assert response.headers["RateLimit-Remaining"] == "49"
    body = response.json()
    assert body["success"] is True
    data = body["data"]
    assert set(data) == {"user", "token", "refreshToken", "tokenType", "expiresIn"}
    assert set(data["user"]) == {"id", "email", "name", "emailVerified", "createdAt"}
    assert data["user"]["email"] == "Ada@example.com"
    assert data["user"]["name"] == "Ada Lovelace"
    assert data["user"]["emailVerified"] is False
    assert data["user"]["createdAt"].endswith("Z")
    assert (data["tokenType"], data["expiresIn"]) == ("Bearer", 30 * 86_400)
    user = TokenVerifier(TEST_SECRETS["jwt_secret"]).verify(data["token"])
    assert (user.id, user.email) == (data["user"]["id"], "Ada@example.com")


async def test_login_answers_the_same_shape(client: httpx.AsyncClient) -> None:
    registered = (await register(client)).json()["data"]
    response = await login(client, "ADA@example.com")
    assert response.status_code == 200
    assert response.headers["RateLimit-Limit"] == "3"
    data = response.json()["data"]
    assert data["user"] == registered["user"]
    assert list(data) == list(registered)
    assert data["user"]["name"] is None
    assert data["refreshToken"] != registered["refreshToken"]


async def test_refresh_rotates(client: httpx.AsyncClient) -> None:
    first = (await register(client)).json()["data"]["refreshToken"]
    response = await client.post("/api/auth/refresh", json={"refreshToken": first})
    assert response.status_code == 200
    data = response.json()["data"]
    assert set(data) == {"token", "refreshToken", "tokenType", "expiresIn"}
    await client.post("/api/auth/refresh", json={"refreshToken": data["refreshToken"]})
    reused = await client.post("/api/auth/refresh", json={"refreshToken": first})
    body = assert_failure(reused, 401, "token_reused")
    assert "token" in body["message"]
    assert reused.headers["WWW-Authenticate"] == "Bearer"
    dead = await client.post("/api/auth/refresh", json={"refreshToken": data["refreshToken"]})
    assert_failure(dead, 401, "invalid_token")


@pytest.mark.parametrize(
    "twin",
    [
        "ada@example.com",
        "ADA@EXAMPLE.COM",
        " ada@example.com\t",
        "\uff41da@example.com",
        "ada@\uff25xample.com",
    ],
)
async def test_one_address_is_one_account(client: httpx.AsyncClient, twin: str) -> None:
    await register(client)
    body = assert_failure(await register(client, twin), 409, "email_taken")
    assert body["details"] is None


async def test_ten_registrations_at_once_make_one_account(client: httpx.AsyncClient) -> None:
    emails = ["ada@example.com", "ADA@example.com"] * 5
    responses = await asyncio.gather(*(register(client, email) for email in emails))
    assert sorted(response.status_code for response in responses) == [201] + [409] * 9
    assert (await login(client)).status_code == 200


async def test_wrong_password_and_unknown_address_are_told_alike(client: httpx.AsyncClient) -> None:
    await register(client)
    wrong = await login(client, password="wrong")
    unknown = await login(client, "nobody@example.com", "wrong")
    for response in (wrong, unknown):
        body = assert_failure(response, 401, "invalid_credentials")
        assert "token" in body["message"]
        assert response.headers["WWW-Authenticate"] == "Bearer"
    assert {**wrong.json(), "requestId": ""} == {**unknown.json(), "requestId": ""}
    varying = ("x-request-id",)
    assert [pair for pair in wrong.headers.items() if pair[0] not in varying] == [
        pair for pair in unknown.headers.items() if pair[0] not in varying
    ]


async def test_too_many_attempts_whatever_the_client_says_of_its_address(client: httpx.AsyncClient) -> None:
    token = (await register(client)).json()["data"]["refreshToken"]
    for number in range(3):
        headers = {"X-Forwarded-For": f"6.6.6.{number}"}
        await client.post("/api/auth/login", json={"email": "ada@example.com", "password": "wrong"}, headers=headers)
    response = await login(client)
    assert_failure(response, 429, "too_many_attempts")
    assert response.headers["Retry-After"] in ("1", "2")
    assert response.headers["RateLimit-Limit"] == "3"
    assert response.headers["RateLimit-Remaining"] == "0"
    assert int(response.headers["RateLimit-Reset"]) in (1, 2)
    assert (await client.post("/api/auth/refresh", json={"refreshToken": token})).status_code == 200


async def test_replicas_share_the_limits(client: httpx.AsyncClient, settings: Settings) -> None:
    await register(client)
    async with app_client(create_app(settings)) as replica:
        for _ in range(3):
            await login(replica, password="wrong")
    assert_failure(await login(client), 429, "too_many_attempts")


@pytest.mark.parametrize("path", ["register", "login"])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        (field, value)
        for field in ("email", "password")
        for value in (None, True, 1, 1.5, [], ["ada@example.com"], {"$gt": ""}, {"$ne": None}, "", "x\ud800" * 8)
    ]
    + [("email", "no address"), ("email", "a@" + "b" * 1000), ("password", "x" * 600), ("email", "a\r\nb@example.com")],
)
async def test_anything_but_good_text_is_refused_by_field(
    client: httpx.AsyncClient, path: str, field: str, value: Any
) -> None:
    body = {"email": "ada@example.com", "password": PASSWORD, field: value}
    headers = {"Content-Type": "application/json"}
    response = await client.post(f"/api/auth/{path}", content=json.dumps(body), headers=headers)
    failure = assert_failure(response, 422, "validation_failed")
    assert [detail["field"] for detail in failure["details"]] == [field]
    assert all(set(detail) == {"field", "message"} for detail in failure["details"])


@pytest.mark.parametrize("password", ["password", "Password123", "12345678", "1234567", "x" * 129, "ada@example.com"])
async def test_bad_new_passwords_are_refused_by_field(client: httpx.AsyncClient, password: str) -> None:
    response = await client.post("/api/auth/register", json={"email": "ada@example.com", "password": password})
    failure = assert_failure(response, 422, "validation_failed")
    assert failure["details"][0]["field"] == "password"
    assert set(failure["details"][0]) == {"field", "message"}


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\nb", 5, ["a"], {"$set": {}}, True])
async def test_bad_names_are_refused(client: httpx.AsyncClient, name: Any) -> None:
    failure = assert_failure(await register(client, name=name), 422, "validation_failed")
    assert failure["details"][0]["field"] == "name"


async def test_missing_fields_are_named(client: httpx.AsyncClient) -> None:
    failure = assert_failure(await client.post("/api/auth/register", json={}), 422, "validation_failed")
    assert {detail["field"] for detail in failure["details"]} == {"email", "password"}


@pytest.mark.parametrize("path", ["register", "login", "refresh"])
async def test_other_bodies(client: httpx.AsyncClient, path: str) -> None:
    address = f"/api/auth/{path}"
    form = await client.post(address, data={"email": "ada@example.com", "password": PASSWORD})
    assert_failure(form, 415, "unsupported_media_type")
    headers = {"Content-Type": "application/json"}
    for content in (b"", b"{", b"[]", b"null", b'"x"', b"\xff", b"[" * 50_000):
        response = await client.post(address, content=content, headers=headers)
        assert response.status_code in (400, 422)
    for characters, status, code in ((2_000_000, 413, "payload_too_large"), (400_000, 422, "validation_failed")):
        body = {"email": "a@b.de", "password": "x" * characters, "refreshToken": "x" * characters}
        assert_failure(await client.post(address, json=body), status, code)
    assert_failure(await client.get(address), 405, "method_not_allowed")


async def test_fields_nobody_asked_for_change_nothing(client: httpx.AsyncClient, database: Any) -> None:
    extra: dict[str, Any] = {
        "role": "admin",
        "id": "0" * 24,
        "_id": "0" * 24,
        "emailVerified": True,
        "email_verified": True,
        "version": 9,
        "password_hash": "x",
        "$set": {"role": "admin"},
        "__proto__": {"admin": True},
        "a.b": 1,
    }
    user = (await register(client, **extra)).json()["data"]["user"]
    assert user["emailVerified"] is False
    assert user["id"] != "0" * 24
    stored = await database["accounts"].find_one({})
    assert set(stored) == {
        "_id",
        "email",
        "email_key",
        "email_verified",
        "name",
        "password_hash",
        "version",
        "refused_version",
        "created_at",
    }
    assert stored["version"] == 0


async def test_internal_account(client: httpx.AsyncClient) -> None:
    user = (await register(client, name="Ada")).json()["data"]["user"]
    address = f"/internal/accounts/{user['id']}"
    read, write = (service_token(audience="auth", scope=f"auth:{scope}") for scope in ("read", "write"))

    account = (await client.get(address, headers=read)).json()["data"]
    assert account == {
        "id": user["id"],
        "email": "ada@example.com",
        "name": "Ada",
        "createdAt": user["createdAt"],
        "version": 0,
    }
    change = {"email": "countess@example.com", "name": None, "version": 1}
    changed = (await client.put(address, json=change, headers=write)).json()["data"]
    assert changed == account | {"email": "countess@example.com", "name": None, "version": 1}
    assert (await client.put(address, json=change, headers=write)).json()["data"] == changed
    assert (await login(client, "countess@example.com")).status_code == 200
    assert_failure(await login(client, "ada@example.com"), 401, "invalid_credentials")

    await register(client, "eve@example.com")
    taken = await client.put(address, json={"email": "EVE@example.com", "name": None, "version": 2}, headers=write)
    assert_failure(taken, 409, "email_taken")
    for odd in ("0" * 24, "x", "%00", "%F0%9F", "1" * 500):
        assert_failure(await client.get(f"/internal/accounts/{odd}", headers=read), 404, "account_not_found")


async def test_internal_wants_a_service_token_for_the_operation(client: httpx.AsyncClient) -> None:
    user_id = (await register(client)).json()["data"]["user"]["id"]
    address = f"/internal/accounts/{user_id}"
    assert_failure(await client.get(address), 401, "missing_token")
    assert_failure(await client.get(address, headers=user_headers(user_id)), 401, "invalid_token")
    for audience, scope, code, status in (
        ("auth", "auth:write", "forbidden", 403),
        ("coin", "auth:read", "invalid_token", 401),
    ):
        headers = service_token(audience=audience, scope=scope)
        assert_failure(await client.get(address, headers=headers), status, code)
    body = {"email": "eve@example.com", "name": None, "version": 1}
    read = service_token(audience="auth", scope="auth:read")
    assert_failure(await client.put(address, json=body, headers=read), 403, "forbidden")
    assert (await login(client)).status_code == 200


async def test_the_log_names_nobody_and_no_secret(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    registered = (await register(client, name="Ada Lovelace")).json()["data"]
    await login(client)
    await login(client, password="another secret")
    await client.post("/api/auth/refresh", json={"refreshToken": registered["refreshToken"]})
    written = caplog.text + capsys.readouterr().out
    assert "/api/auth/login" in written
    for secret in (PASSWORD, "another secret", "ada@", "Lovelace", registered["token"], registered["refreshToken"]):
        assert secret not in written


async def test_openapi_tells_what_can_go_wrong(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    assert set(paths["/api/auth/login"]["post"]["responses"]) == {"200", "401", "422", "429", "503"}
    assert "409" in paths["/api/auth/register"]["post"]["responses"]
    for path in ("register", "login", "refresh"):
        described = paths[f"/api/auth/{path}"]["post"]["responses"]["422"]["content"]["application/json"]["schema"]
        assert described["$ref"].endswith("/ErrorBody")  # not FastAPI's own shape, which nobody gets
