"""How large a request may be."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from gateway_service.testing import AssertRefused, ScriptedService, SendRaw, statuses

POST = b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\n"
GET = b"GET /api/auth/login HTTP/1.1\r\nHost: x\r\n\r\n"
EVIL = b"GET /evil HTTP/1.1\r\nHost: x\r\n\r\n"
MIB = 1024 * 1024


async def test_heads_have_bounds(
    gateway: httpx.AsyncClient, service: ScriptedService, raw: SendRaw, assert_refused: AssertRefused
) -> None:
    line = b"GET /api/auth/login HTTP/1.1\r\nHost: x\r\n"
    cases = [
        (b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "uri_too_long"),
        (b"GET /?" + b"a" * 10_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "uri_too_long"),
        (line + b"A: " + b"a" * 40_000 + b"\r\n\r\n", 431, "headers_too_large"),
        (line + b"A: b\r\n" * 200 + b"\r\n", 431, "headers_too_large"),
        (line + b"A: " + b"a" * 500_000, 431, "headers_too_large"),
        (line + b"a" * 500_000, 431, "headers_too_large"),
    ]
    for request, status, code in cases:
        # In pieces, as a network delivers it; a single header is never complete before the bound is reached.
        parts = [request[start : start + 20_000] for start in range(0, len(request), 20_000)]
        assert_refused(await raw(gateway, *parts, silence_seconds=3, pause=0.005), status, code)
    assert service.seen == []
    assert statuses(await raw(gateway, line + b"A: " + b"a" * 20_000 + b"\r\n\r\n")) == [200]


class TestBodies:
    """No more than 1 MiB gets in."""

    async def test_a_body_of_the_largest_size_passes(
        self, gateway: httpx.AsyncClient, service: ScriptedService
    ) -> None:
        reply = await gateway.post("/api/auth/login", content=b"a" * MIB)
        assert (reply.status_code, len(service.seen[0].body)) == (200, MIB)

    async def test_a_larger_one_is_413_and_the_connection_still_good(
        self, gateway: httpx.AsyncClient, service: ScriptedService, raw: SendRaw
    ) -> None:
        body = b"GET /evil HTTP/1.1\r\nHost: x\r\n\r\n".ljust(MIB + 1, b"a")
        received = await raw(gateway, POST + b"Content-Length: %d\r\n\r\n" % len(body) + body + GET)
        assert statuses(received) == [413, 200]
        assert b'"payload_too_large"' in received
        assert [seen.request_line for seen in service.seen] == [b"GET /api/auth/login HTTP/1.1"]

    async def test_one_without_a_length_is_counted(
        self, gateway: httpx.AsyncClient, service: ScriptedService, raw: SendRaw
    ) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(40):
                yield b"a" * 65_536

        reply = await gateway.post("/api/auth/login", content=pieces())
        assert (reply.status_code, reply.json()["code"]) == (413, "payload_too_large")
        assert service.seen == []  # its copy broke off
        assert (await gateway.get("/api/auth/login")).status_code == 200

    async def test_a_lying_length_leaves_the_rest_outside(
        self, gateway: httpx.AsyncClient, service: ScriptedService, raw: SendRaw
    ) -> None:
        received = await raw(gateway, POST + b"Content-Length: 2\r\n\r\n" + b"a" * (2 * MIB), silence_seconds=3)
        assert statuses(received) == [200]
        assert [seen.body for seen in service.seen] == [b"aa"]

    async def test_an_endless_refused_body_is_cut(self, gateway: httpx.AsyncClient, raw: SendRaw) -> None:
        head = POST + b"Content-Length: 9000000000\r\n\r\n"
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.base_url.port)

        async def send_on() -> None:
            for _ in range(200):
                writer.write(bytes(MIB))
                await writer.drain()

        writer.write(head)
        with pytest.raises(ConnectionError):
            await send_on()
        writer.close()

    async def test_expect_is_answered_with_the_refusal_and_close(
        self, gateway: httpx.AsyncClient, service: ScriptedService, raw: SendRaw
    ) -> None:
        large = POST + b"Expect: 100-continue\r\nContent-Length: 2000000\r\n\r\n"
        unknown = b"POST /api/coin/buy HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 50\r\n\r\n"
        for request, status in ((large, 413), (unknown, 401)):
            received = await raw(gateway, request, EVIL, silence_seconds=3)
            assert statuses(received) == [status]
            assert b"connection: close" in received
        assert service.seen == []
