"""Services whose answers are none, and connections that die between two of them."""

import asyncio
import contextlib
import random

import httpx
import pytest

from gateway_service.testing import AssertFailure, ScriptedService, Seen, StartGateway, answer


@pytest.mark.parametrize(
    "garbage",
    [
        b"SSH-2.0-OpenSSH_9\r\n",
        b"HTTP/1.1 two hundred\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nx",
        b"HTTP/1.1 200 OK\ncontent-length: 1\n\nx",
        b"HTTP/1.1 999 What\r\ncontent-length: 1\r\n\r\nx",
        b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x-long: " + b"a" * 200_000,
        b"HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
        b"",
    ],
)
async def test_an_answer_that_is_not_one_is_502(
    gateway: httpx.AsyncClient,
    service: ScriptedService,
    token: dict[str, str],
    garbage: bytes,
    assert_failure: AssertFailure,
) -> None:
    async def babble(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(garbage)
        await writer.drain()
        writer.close()

    service.handler = babble
    reply = await gateway.get("/api/coin/balance", headers=token)
    assert_failure(reply, 502, "upstream_failed")
    assert "HTTP" not in reply.json()["message"]


async def test_bytes_nobody_asked_for_never_become_the_next_answer(
    gateway: httpx.AsyncClient, service: ScriptedService, token: dict[str, str]
) -> None:
    async def two_at_once(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"mine") + answer(b"evil"))

    service.handler = two_at_once
    for _ in range(5):
        assert (await gateway.get("/api/coin/balance", headers=token)).content == b"mine"
    assert service.connections == 5

    async def one_more_later(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"mine"))
        await writer.drain()
        asyncio.get_running_loop().call_later(0.02, writer.write, answer(b"evil"))

    service.handler = one_more_later
    for _ in range(5):
        assert (await gateway.get("/api/coin/balance", headers=token)).content == b"mine"
        await asyncio.sleep(0.05)


class TestReusedConnections:
    """A service may close an idle connection just as the gateway sends the next request on it."""

    @pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS", "PUT"])
    async def test_a_request_that_may_be_repeated_is(
        self, gateway: httpx.AsyncClient, service: ScriptedService, token: dict[str, str], method: str
    ) -> None:
        async def die_while_reused(seen: Seen, writer: asyncio.StreamWriter) -> None:
            if len(service.seen) == 2:
                writer.close()
            else:
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

        service.handler = die_while_reused
        await gateway.get("/api/coin/balance", headers=token)
        assert (await gateway.request(method, "/api/coin/balance", headers=token)).status_code == 204
        assert (len(service.seen), service.connections) == (3, 2)

    @pytest.mark.parametrize(("method", "content"), [("POST", b""), ("POST", b"{}"), ("PATCH", b"{}"), ("PUT", b"{}")])
    async def test_one_that_may_not_is_never_sent_twice(
        self,
        gateway: httpx.AsyncClient,
        service: ScriptedService,
        token: dict[str, str],
        method: str,
        content: bytes,
        assert_failure: AssertFailure,
    ) -> None:
        async def die_on_second(seen: Seen, writer: asyncio.StreamWriter) -> None:
            if len(service.seen) == 2:
                writer.close()
            else:
                writer.write(answer())

        service.handler = die_on_second
        await gateway.get("/api/coin/balance", headers=token)
        reply = await gateway.request(method, "/api/coin/buy", content=content, headers=token)
        assert_failure(reply, 502, "upstream_failed")
        assert len(service.seen) == 2

    async def test_a_fresh_connection_that_dies_is_not_tried_again(
        self, gateway: httpx.AsyncClient, service: ScriptedService, token: dict[str, str], assert_failure: AssertFailure
    ) -> None:
        async def die(seen: Seen, writer: asyncio.StreamWriter) -> None:
            writer.close()

        service.handler = die
        assert_failure(await gateway.get("/api/coin/balance", headers=token), 502, "upstream_failed")
        assert len(service.seen) == 1

    async def test_an_answer_begun_is_not_asked_for_again(
        self, gateway: httpx.AsyncClient, service: ScriptedService, token: dict[str, str], assert_failure: AssertFailure
    ) -> None:
        async def die_half_way(seen: Seen, writer: asyncio.StreamWriter) -> None:
            if len(service.seen) == 2:
                writer.write(b"HTTP/1.1 200 OK\r\ncont")
                await writer.drain()
                writer.close()
            else:
                writer.write(answer())

        service.handler = die_half_way
        await gateway.get("/api/coin/balance", headers=token)
        assert_failure(await gateway.get("/api/coin/balance", headers=token), 502, "upstream_failed")
        assert len(service.seen) == 2


async def test_an_answer_that_comes_byte_by_byte(
    gateway: httpx.AsyncClient, service: ScriptedService, token: dict[str, str]
) -> None:
    head = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX-Thing: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
    wire = head + b"5\r\nhello\r\n0\r\n\r\n"

    async def drip(seen: Seen, writer: asyncio.StreamWriter) -> None:
        for byte in wire:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)

    service.handler = drip
    for _ in range(3):
        reply = await gateway.get("/api/coin/balance", headers=token)
        assert (reply.status_code, reply.content, reply.headers["x-thing"]) == (200, b"hello", "1")
    assert service.connections == 1


@pytest.mark.parametrize("seed", range(6))
async def test_bent_answers_never_reach_another_request(
    start_gateway: StartGateway, service: ScriptedService, token: dict[str, str], seed: int
) -> None:
    gateway = await start_gateway(upstream_timeout_seconds=0.3, upstream_idle_timeout_seconds=0.3)
    chance = random.Random(seed)
    good = [answer(b"bent"), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbent\r\n0\r\n\r\n"]
    bits = [
        b"\r\n",
        b"\n",
        b"\x00",
        b":",
        b"content-length: 3\r\n",
        b"0\r\n\r\n",
        b"HTTP/1.1 101 X\r\n\r\n",
        b"-1",
        answer(b"bent"),
    ]

    async def bend(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if b"?good" in seen.request_line:
            writer.write(answer(b"good"))
            return
        wire = bytearray(chance.choice(good))
        place = chance.randrange(len(wire))
        wire[place : place + chance.randrange(3)] = chance.choice(bits)
        writer.write(wire)
        await writer.drain()
        writer.close()

    async def one() -> None:
        with contextlib.suppress(httpx.RemoteProtocolError):
            reply = await gateway.get("/api/coin/balance", headers=token)
            assert reply.status_code in (200, 204, 502, 504)
        reply = await gateway.get("/api/coin/balance?good", headers=token)
        assert reply.content == b"good" or reply.status_code == 502

    service.handler = bend
    await asyncio.gather(*(one() for _ in range(30)))
