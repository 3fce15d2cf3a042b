"""The conventions every service inherits, driven through a small application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx
import pytest
import pytest_asyncio
from fastapi import Depends, FastAPI
from pydantic import BaseModel, Field, ValidationError

from common.app import create_service_app
from common.auth import CurrentUserDep
from common.errors import ServiceUnavailableError, UpstreamError
from common.idempotency import IdempotencyKey, IdempotencyKeyDep, chosen_key
from common.mongo import open_database
from common.pagination import PageQueryDep
from common.routing import json_router
from common.schemas import Coins, Envelope, ReadModel, RequestModel, Text, ok
from common.service_auth import require_scope
from common.settings import ServiceSettings
from common.testing import app_client, service_settings, service_token, user_headers, user_token

USER = "0123456789abcdef01234567"


class SpendRequest(RequestModel):
    amount: Coins
    reason: Text | None = Field(default=None, max_length=20)
    idempotency_key: IdempotencyKey | None = None


class SpendRead(ReadModel):
    spent_coins: int
    key: str | None


router = json_router(prefix="/api/test", tags=["test"])


@router.post("/spend")
async def spend(body: SpendRequest, user: CurrentUserDep, key: IdempotencyKeyDep) -> Envelope[SpendRead]:
    return ok(SpendRead(spent_coins=body.amount, key=chosen_key(key, body.idempotency_key)))


@router.get("/crash")
async def crash() -> None:
    raise RuntimeError("secret inner words")


@router.get("/away")
async def away() -> None:
    raise ServiceUnavailableError


class VendorAnswer(BaseModel):
    name: str
    client_secret: str


@router.get("/upstream")
async def upstream() -> None:
    try:
        VendorAnswer.model_validate({"client_secret": "pi_1_secret_x"})
    except ValidationError as error:
        raise UpstreamError from error


@router.get("/list")
async def page(query: PageQueryDep) -> Envelope[dict[str, int]]:
    return ok({"page": query.page, "limit": query.limit})


@router.get("/internal")
async def internal(caller: Annotated[str, Depends(require_scope("test:read"))]) -> Envelope[str]:
    return ok(caller)


@pytest_asyncio.fixture
async def client(mongo_uri: str, database_name: str) -> AsyncIterator[httpx.AsyncClient]:
    settings = service_settings(ServiceSettings, mongo_uri, database_name, service_name="test")

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_database(settings) as database:
            app.state.database = database
            yield

    async with app_client(create_service_app(settings, routers=[router], lifespan=lifespan)) as opened:
        yield opened


def assert_failure(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    body: dict[str, Any] = response.json()
    assert response.status_code == status
    assert list(body) == ["success", "code", "message", "details", "requestId"]
    assert body["success"] is False
    assert body["code"] == code
    assert body["requestId"] == response.headers["X-Request-Id"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "no-store"
    return body


async def test_success_is_wrapped_and_camel_cased(client: httpx.AsyncClient) -> None:
    response = await client.post("/api/test/spend", json={"amount": 5}, headers=user_headers(USER))
    assert response.status_code == 200
    assert response.json() == {"success": True, "data": {"spentCoins": 5, "key": None}}


@pytest.mark.parametrize(
    "amount",
    ["1.0", '"10"', "true", "NaN", "Infinity", "1e400", "-1", "0", "1000001", "null", "[1]", '{"$gt":""}', "9" * 5000],
)
async def test_coins_are_never_coerced(client: httpx.AsyncClient, amount: str) -> None:
    headers = user_headers(USER) | {"Content-Type": "application/json"}
    response = await client.post("/api/test/spend", content=f'{{"amount": {amount}}}', headers=headers)
    body = assert_failure(response, 422, "validation_failed")
    # Python does not even read a number of more than 4300 digits.
    field = "amount" if len(amount) < 5000 else "body"
    assert body["details"][0]["field"] == field
    assert field in body["message"]


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe", b"[" * 100_000, b"null", b'"text"', b"[]"])
async def test_malformed_json_is_a_client_error(client: httpx.AsyncClient, content: bytes) -> None:
    headers = user_headers(USER) | {"Content-Type": "application/json"}
    response = await client.post("/api/test/spend", content=content, headers=headers)
    body = assert_failure(response, 422, "validation_failed")
    assert [set(detail) for detail in body["details"]] == [{"field", "message"}]


async def test_text_that_cannot_be_stored_is_refused(client: httpx.AsyncClient) -> None:
    for text in ('"\\ud800"', '"a\\u0000b"'):
        headers = user_headers(USER) | {"Content-Type": "application/json"}
        response = await client.post("/api/test/spend", content=f'{{"amount": 1, "reason": {text}}}', headers=headers)
        assert assert_failure(response, 422, "validation_failed")["details"][0]["field"] == "reason"


async def test_wrong_content_type(client: httpx.AsyncClient) -> None:
    response = await client.post("/api/test/spend", data={"amount": "5"}, headers=user_headers(USER))
    assert_failure(response, 415, "unsupported_media_type")


async def test_oversized_bodies_declared_or_chunked(client: httpx.AsyncClient) -> None:
    headers = user_headers(USER) | {"Content-Type": "application/json"}
    declared = await client.post("/api/test/spend", content=b" " * (1024 * 1024 + 1), headers=headers)
    assert_failure(declared, 413, "payload_too_large")

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(17):
            yield b" " * 65536

    chunked = await client.post("/api/test/spend", content=pieces(), headers=headers)
    assert_failure(chunked, 413, "payload_too_large")


async def test_unknown_path_method_and_slash(client: httpx.AsyncClient) -> None:
    assert_failure(await client.get("/nothing"), 404, "not_found")
    assert_failure(await client.get("/api/test/spend/"), 404, "not_found")
    response = await client.delete("/api/test/spend")
    assert_failure(response, 405, "method_not_allowed")
    assert response.headers["Allow"] == "POST"


async def test_crash_says_nothing_of_itself(client: httpx.AsyncClient) -> None:
    response = await client.get("/api/test/crash", headers={"X-Request-Id": "my-id.1"})
    body = assert_failure(response, 500, "internal_error")
    assert body["requestId"] == "my-id.1"
    assert "secret" not in response.text


async def test_unavailable_says_when_to_come_back(client: httpx.AsyncClient) -> None:
    response = await client.get("/api/test/away")
    assert_failure(response, 503, "service_unavailable")
    assert int(response.headers["Retry-After"]) > 0


async def test_answer_that_does_not_fit_is_not_quoted_in_the_log(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    assert_failure(await client.get("/api/test/upstream"), 502, "upstream_failed")
    assert "VendorAnswer: name missing" in caplog.text
    assert "pi_1_secret_x" not in caplog.text


@pytest.mark.parametrize("bad", ["", "has space", "x" * 129, "ümlaut".encode().decode("latin-1"), "a;b"])
async def test_bad_request_id_is_replaced(client: httpx.AsyncClient, bad: str) -> None:
    response = await client.get("/api/test/list", headers={b"X-Request-Id": bad.encode("latin-1")})
    assert response.headers["X-Request-Id"] != bad
    assert len(response.headers["X-Request-Id"]) == 32


@pytest.mark.parametrize(
    "query",
    [
        "page=0",
        "limit=0",
        "limit=101",
        "page=x",
        "limit=1e2",
        "page=-1",
        "page=1.5",
        "page=1.0",
        "page=1_0",
        "limit=%2B5",
    ],
)
async def test_page_query_is_checked(client: httpx.AsyncClient, query: str) -> None:
    body = assert_failure(await client.get(f"/api/test/list?{query}"), 422, "validation_failed")
    assert body["details"][0]["field"] == query.partition("=")[0]


async def test_idempotency_key_from_header_or_body(client: httpx.AsyncClient) -> None:
    async def send(header: str | None, field: str | None) -> httpx.Response:
        headers = user_headers(USER) | ({"Idempotency-Key": header} if header is not None else {})
        return await client.post("/api/test/spend", json={"amount": 1, "idempotencyKey": field}, headers=headers)

    assert (await send("k-1", None)).json()["data"]["key"] == "k-1"
    assert (await send(None, "k-2")).json()["data"]["key"] == "k-2"
    assert (await send("same", "same")).json()["data"]["key"] == "same"
    for header, field in (("a", "b"), ("has space", None), ("x" * 256, None), (None, "has space"), (None, "")):
        assert_failure(await send(header, field), 422, "validation_failed")


async def test_user_routes_want_exactly_one_good_bearer_token(client: httpx.AsyncClient) -> None:
    good = user_token(USER)
    bad: list[list[tuple[str, str]]] = [
        [],
        [("Authorization", "")],
        [("Authorization", good)],
        [("Authorization", f"Basic {good}")],
        [("Authorization", f"Bearer {good}x")],
        [("Authorization", f"Bearer {good}"), ("Authorization", f"Bearer {good}")],
        [("Authorization", f"Bearer {user_token(USER, ttl=-31)}")],
        [("Authorization", f"Bearer {user_token('not-an-id')}")],
        list(service_token(audience="test", scope="test:read").items()),
    ]
    for headers in bad:
        response = await client.post("/api/test/spend", json={"amount": 1}, headers=headers)
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert "token" in response.json()["message"]
    response = await client.post("/api/test/spend", json={"amount": 1}, headers={"Authorization": f"bEaReR  {good}"})
    assert response.status_code == 200


async def test_internal_routes_want_a_service_token_for_them(client: httpx.AsyncClient) -> None:
    async def call(headers: dict[str, str]) -> httpx.Response:
        return await client.get("/api/test/internal", headers=headers)

    assert (await call(service_token(audience="test", scope="test:read", caller="image"))).json()["data"] == "image"
    assert_failure(await call({}), 401, "missing_token")
    assert_failure(await call(user_headers(USER)), 401, "invalid_token")
    assert_failure(await call(service_token(audience="coin", scope="test:read")), 401, "invalid_token")
    assert_failure(await call(service_token(audience="test", scope="test:write")), 403, "forbidden")


async def test_health_ready_and_metrics(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health")).json()["data"] == {"status": "ok"}
    assert (await client.get("/ready")).json()["data"] == {"status": "ready"}
    assert "http_requests_total" in (await client.get("/metrics")).text
