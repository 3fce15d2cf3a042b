"""What has no way in, however it is spelled."""

import httpx
import pytest

from gateway_service.testing import ScriptedService, SendRaw

pytestmark = pytest.mark.asyncio(loop_scope="module")

INSIDE = ["internal/holds", "internal", "metrics", "ready", "docs", "openapi.json", "admin", "debug", "_sandbox/reset"]

TRICKS = [
    *(f"/{path}" for path in INSIDE if path not in ("ready", "docs", "openapi.json")),
    *(f"/api/../{path}" for path in INSIDE),
    *(f"/api/coin/../../{path}" for path in INSIDE),
    "/api/coin/../internal/holds",
    "/api/coin/./balance",
    "/api/coin/balance/..",
    "/api/coin/balance/.",
    "/api/coin/..",
    "/api/auth/login/../../coin/balance",
    "/api/coin/%2e%2e/internal/holds",
    "/api/coin/%2E%2E/internal/holds",
    "/api/coin/.%2e/internal/holds",
    "/api/coin/%2e./internal",
    "/api/coin%2f..%2f..%2finternal/holds",
    "/api/coin/..%2finternal",
    "/api/coin/..%5cinternal",
    "/api/coin/..\\internal",
    "/api/coin\\balance",
    "/api/coin/%252e%252e/internal",
    "/api/coin/%25%32%65%25%32%65/internal",
    "/api/coin/%c0%ae%c0%ae/internal",
    "/api/coin/%e0%80%ae%e0%80%ae/internal",
    "/api/coin/%c0%afinternal",
    "/api/coin/%ff",
    "/api/coin/balance%00",
    "/api/coin/%00/internal",
    "/api/coin/balance%0d%0aX-User-Id:%201",
    "/api/coin/balance%20",
    "/api/coin/balance%09",
    "/api/coin/balance%3fx",
    "/api/coin/balance%23",
    "/api/coin/balance;x=1",
    "/api/coin;/balance",
    "/api;/coin/balance",
    "/api/coin/;/../internal",
    "//api/coin/balance",
    "/api//coin/balance",
    "/api/coin//balance",
    "/api/coin/balance/",
    "/api/coin/balance//",
    "/api/coin/",
    "/api/coin",
    "/api/",
    "/api",
    "/API/coin/balance",
    "/Api/coin/balance",
    "/api/Coin/balance",
    "/api/COIN/balance",
    "/%61pi/coin/balance",
    "/api/%63oin/balance",
    "/api/coin/b%61lance",
    "/ api/coin/balance".replace(" ", "%20"),
    "/api%20/coin/balance",
    "/api/coin%20/balance",
    "/api/gateway/x",
    "/api/sandbox/x",
    "/api/internal/holds",
    "/api/metrics",
    "/api/coins/balance",
    "/api/coinx",
    "/api/.coin/balance",
    "/apix/coin/balance",
    "/api/coin/\u00e9".encode().decode("latin-1"),
    "/uploads",
    "/uploads/",
    "/uploads/../internal/holds",
    "/uploads/..%2f..%2fetc/passwd",
    "/uploads/%2e%2e/%2e%2e/etc/passwd",
    "/uploads/....//....//etc/passwd",
    "/uploads//etc/passwd",
    "/uploads/a.png/",
    "/uploads/a.png%00.txt",
    "/uploads/a.png;.txt",
    "/uploads/./a.png",
    "/uploads/a\\..\\b",
    "/Uploads/a.png",
    "/static/x",
    "/docs/../internal",
    "/docs/%2e%2e/main.py",
    "/docs//swagger-ui.css",
    "/docs/swagger-ui.css/",
    "/redoc",
    "/favicon.ico",
    "/.env",
    "/.git/config",
    "/health/",
    "/HEALTH",
    "/metrics/",
    "/*",
]  # fmt: skip

PUBLIC = [
    ("POST", "/api/auth/register"),
    ("POST", "/api/auth/login"),
    ("POST", "/api/auth/google"),
    ("POST", "/api/auth/refresh"),
    ("POST", "/api/auth/password/forgot"),
    ("POST", "/api/auth/password/reset"),
    ("POST", "/api/auth/email/verify"),
    ("GET", "/api/auth/.well-known/jwks.json"),
    ("POST", "/api/coin/webhooks/stripe"),
    ("POST", "/api/coin/webhooks/google-play"),
    ("GET", "/api/coin/rewards/admob"),
    ("POST", "/api/subscription/webhooks/google-play"),
    ("GET", "/uploads/2f9c.png"),
    ("HEAD", "/uploads/ab/2f9c.png"),
    ("GET", "/api/auth/login"),  # the service says what it thinks of that method
]

PRIVATE = [
    ("POST", "/api/auth/logout"),
    ("GET", "/api/auth/sessions"),
    ("PUT", "/api/auth/password"),
    ("DELETE", "/api/auth/account"),
    ("POST", "/api/auth/login/x"),
    ("POST", "/api/auth/loginx"),
    ("GET", "/api/user/profile"),
    ("GET", "/api/coin/balance"),
    ("GET", "/api/coin/packs"),
    ("GET", "/api/coin/rewards/admob/x"),
    ("GET", "/api/coin/webhooks"),
    ("POST", "/api/image/generate"),
    ("GET", "/api/image/507f1f77bcf86cd799439011"),
    ("OPTIONS", "/api/image/history"),
    ("POST", "/api/image/webhooks/x"),
    ("GET", "/api/subscription/status"),
]


@pytest.mark.parametrize("target", TRICKS)
async def test_there_is_nothing_here(
    shared_gateway: httpx.AsyncClient, shared_service: ScriptedService, token: dict[str, str], raw: SendRaw, target: str
) -> None:
    request = (
        f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: {token['Authorization']}\r\n\r\n"
    )

    received = await raw(shared_gateway, request.encode("latin-1"), silence_seconds=3)

    status = int(received.split()[1])
    # Bytes that no URL has are refused by the parser already.
    assert status == 404 if target.isascii() else 400
    assert (b'"code":"not_found"' in received or b'"code": "not_found"' in received) == (status == 404)
    assert shared_service.seen == []


@pytest.mark.parametrize(("method", "path"), PUBLIC)
async def test_public_paths_need_no_token(
    shared_gateway: httpx.AsyncClient, shared_service: ScriptedService, method: str, path: str
) -> None:
    assert (await shared_gateway.request(method, path)).status_code == 200
    assert shared_service.seen[0].request_line == f"{method} {path} HTTP/1.1".encode()


@pytest.mark.parametrize(("method", "path"), PRIVATE)
async def test_all_others_do(
    shared_gateway: httpx.AsyncClient, shared_service: ScriptedService, token: dict[str, str], method: str, path: str
) -> None:
    assert (await shared_gateway.request(method, path)).status_code == 401
    assert shared_service.seen == []
    assert (await shared_gateway.request(method, path, headers=token)).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE"])
async def test_uploads_are_only_read(
    shared_gateway: httpx.AsyncClient, shared_service: ScriptedService, method: str
) -> None:
    reply = await shared_gateway.request(method, "/uploads/a.png")

    assert (reply.status_code, reply.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert shared_service.seen == []


async def test_the_host_of_an_absolute_target_leads_nowhere(
    shared_gateway: httpx.AsyncClient, shared_service: ScriptedService, token: dict[str, str], raw: SendRaw
) -> None:
    line = b"GET http://169.254.169.254/api/coin/balance HTTP/1.1\r\nHost: metadata\r\nAuthorization: "
    received = await raw(shared_gateway, line + token["Authorization"].encode() + b"\r\n\r\n")

    assert received.startswith(b"HTTP/1.1 200")
    assert shared_service.seen[0].request_line == b"GET /api/coin/balance HTTP/1.1"
    assert shared_service.seen[0].values(b"host") == [f"127.0.0.1:{shared_service.port}".encode()]


@pytest.mark.parametrize(
    "target", ["http://x/internal/holds", "http://x//api/coin/balance", "http://x", "*", "x://internal"]
)
async def test_odd_targets(
    shared_gateway: httpx.AsyncClient, shared_service: ScriptedService, token: dict[str, str], raw: SendRaw, target: str
) -> None:
    received = await raw(shared_gateway, f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    assert int(received.split()[1]) in (400, 404)
    assert received.count(b"HTTP/1.1 ") == 1
    assert shared_service.seen == []
