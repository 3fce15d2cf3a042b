"""The gateway's own pages, web pages of others, and the many at once."""

import asyncio
import json
import re
from urllib.parse import urlsplit

import pytest

from journey.answers import data, error
from journey.endpoints import STARRED
from journey.mesh import SERVICES, Mesh
from journey.phone import Caller, Phone


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://127.0.0.1:8080", "http://localhost"])
async def test_a_listed_web_page_may_call(phone: Phone, guest: Caller, origin: str) -> None:
    answers = [
        await phone.send("GET", "/api/coin/balance", headers={"Origin": origin}),
        await guest.send("GET", "/api/coin/balance", headers={"Origin": origin}),
        await guest.send("GET", "/health", headers={"Origin": origin}),
        await guest.send(
            "OPTIONS",
            "/api/coin/deduct",
            headers={
                "Origin": origin,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
            },
        ),
    ]

    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == origin
        assert "origin" in answer.headers["vary"].lower()
    preflight = answers[-1]
    assert preflight.status_code in (200, 204)
    assert "POST" in preflight.headers["access-control-allow-methods"]
    allowed = preflight.headers["access-control-allow-headers"].lower()
    assert all(name in allowed for name in ("authorization", "content-type", "idempotency-key"))
    assert "x-request-id" in answers[0].headers["access-control-expose-headers"].lower()


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost.evil.example", "http://evil@localhost"]
)
async def test_another_web_page_may_not(phone: Phone, guest: Caller, origin: str) -> None:
    preflight = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    for answer in (
        await phone.send("GET", "/api/coin/balance", headers={"Origin": origin}),
        await guest.send("OPTIONS", "/api/coin/deduct", headers=preflight),
    ):
        assert not {name for name in answer.headers if name.startswith("access-control-allow")}


async def test_health_names_every_service_and_nothing_else(guest: Caller) -> None:
    answer = await guest.get("/health")

    assert data(answer) == {"status": "ok", "services": dict.fromkeys(SERVICES, "ok")}
    assert not re.search(r"localhost|127\.|:\d{4,5}\b|mongo|python", answer.text, re.IGNORECASE)


async def test_the_schema_describes_every_public_endpoint_and_no_inner_one(guest: Caller) -> None:
    schema = (await guest.get("/openapi.json")).json()

    paths = {re.sub(r"\{\w+\}", "{}", path): item for path, item in schema["paths"].items()}
    for endpoint in STARRED:
        operation = paths[endpoint.template or endpoint.path][endpoint.method.lower()]
        assert operation["responses"], endpoint
        assert bool(operation.get("security")) != endpoint.is_public, endpoint
    assert all(path.startswith(("/api/", "/uploads/")) for path in paths)
    assert "internal" not in json.dumps(schema["paths"])


async def test_the_documentation_loads_nothing_from_another_host(guest: Caller) -> None:
    page = await guest.get("/docs")

    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    links = re.findall(r"""(?:src|href|url)\s*[=:]\s*["']([^"'#]+)""", page.text)
    assert links
    for link in links:
        assert not urlsplit(link).netloc, link
        if not link.startswith("data:"):
            assert (await guest.get(link if link.startswith("/") else f"/{link}")).status_code == 200, link


async def test_idle_connections_leave_room_for_others(mesh: Mesh, phone: Phone) -> None:
    address = urlsplit(mesh.gateway)
    idle = [await asyncio.open_connection(address.hostname, address.port) for _ in range(200)]
    try:
        for _, writer in idle[:100]:
            writer.write(b"GET /api/coin/balance HTTP/1.1\r\nHost:")
        assert await phone.balance() == 100
    finally:
        for _, writer in idle:
            writer.close()


async def test_no_address_that_a_client_sends_is_asked_for(phone: Phone) -> None:
    asked = asyncio.Event()

    async def met(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        writer.close()

    async with await asyncio.start_server(met, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"
        await phone.put("/api/user/profile", {"avatarUrl": url})
        await phone.get("/api/user/profile")
        payment = {"amount": 100, "paymentMethod": "stripe", "transactionId": url}
        error(await phone.post("/api/coin/buy", payment), 404, "payment_not_found")
        purchase = {"purchaseToken": url, "productId": url, "packageName": "com.example.app"}
        answer = await phone.post("/api/subscription/verify", purchase)
        error(answer, answer.status_code)
        headers = {"X-Forwarded-Host": url, "X-Original-URL": url, "Referer": url, "Origin": url}
        data(await phone.send("GET", "/api/coin/balance", headers=headers))
        data(await phone.post("/api/image/generate", {"prompt": f"a fox from {url}", "responseFormat": "url"}))

    assert not asked.is_set()
