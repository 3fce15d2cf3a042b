"""What a service gets is what the client sent, and the other way round."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from common.testing import until
from gateway_service.testing import ScriptedService, Seen, SendRaw, answer


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_method_path_and_query_arrive_byte_for_byte(
    gateway: httpx.AsyncClient, service: ScriptedService, token: dict[str, str], method: str
) -> None:
    target = "/api/coin/transactions?b=%2F%20+&a=1&a=&%E2%82%AC=%c3%a9&userId[$ne]=x"

    reply = await gateway.request(method, httpx.URL(str(gateway.base_url), raw_path=target.encode()), headers=token)

    assert reply.status_code == 200
    assert service.seen[0].request_line == f"{method} {target} HTTP/1.1".encode()


async def test_headers_arrive_repeated_and_in_order(
    gateway: httpx.AsyncClient, service: ScriptedService, token: dict[str, str]
) -> None:
    headers = [
        *token.items(),
        ("Accept-Language", "en"),
        ("X-Thing", "one"),
        ("X-Thing", "two"),
        ("Prefer", "respond-async"),
    ]

    await gateway.get("/api/coin/balance", headers=headers)

    seen = service.seen[0]
    assert seen.values(b"x-thing") == [b"one", b"two"]
    assert seen.values(b"prefer") == [b"respond-async"]
    assert seen.values(b"authorization") == [token["Authorization"].encode()]
    assert seen.values(b"host") == [f"127.0.0.1:{service.port}".encode()]
    assert len(seen.values(b"x-request-id")) == 1


async def test_a_body_arrives_whole(
    gateway: httpx.AsyncClient, service: ScriptedService, token: dict[str, str]
) -> None:
    body = bytes(range(256)) * 2048

    await gateway.post("/api/coin/buy", content=body, headers=token)

    assert service.seen[0].body == body
    assert service.seen[0].values(b"content-length") == [str(len(body)).encode()]


async def test_a_chunked_body_arrives_whole(
    gateway: httpx.AsyncClient, service: ScriptedService, token: dict[str, str]
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(300):
            yield b"%d," % number * 100

    await gateway.post("/api/coin/buy", content=pieces(), headers=token)

    assert service.seen[0].body == b"".join([b"%d," % number * 100 for number in range(300)])


async def test_a_large_body_is_streamed_not_kept(
    gateway: httpx.AsyncClient, service: ScriptedService, token: dict[str, str]
) -> None:
    first_arrived = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"a" * 200_000
        await until(lambda: len(service.arriving) >= 200_000)
        first_arrived.set()
        yield b"b" * 100_000

    await gateway.post("/api/coin/buy", content=pieces(), headers=token)

    assert first_arrived.is_set()
    assert service.seen[0].body == b"a" * 200_000 + b"b" * 100_000


async def test_an_answer_is_streamed_as_it_comes(
    gateway: httpx.AsyncClient, service: ScriptedService, token: dict[str, str]
) -> None:
    go_on = asyncio.Event()

    async def slow(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n"
        )
        await writer.drain()
        await go_on.wait()
        writer.write(b"6\r\nsecond\r\n0\r\n\r\n")

    service.handler = slow
    async with gateway.stream("GET", "/api/image/generations/1/events", headers=token) as reply:
        pieces = reply.aiter_raw()
        assert await anext(pieces) == b"first"
        go_on.set()
        assert b"".join([piece async for piece in pieces]) == b"second"


async def test_answer_headers_and_every_cookie_come_through(
    gateway: httpx.AsyncClient, service: ScriptedService, token: dict[str, str]
) -> None:
    async def cookies(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(
            answer(
                b"{}",
                status=b"201 Created",
                headers=b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nLocation: /api/image/generations/7\r\nServer: x/1.0\r\n"
                b"Date: never\r\nX-Powered-By: y\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n",
            )
        )

    service.handler = cookies
    reply = await gateway.get("/api/coin/balance", headers=token)

    assert reply.status_code == 201
    assert reply.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert reply.headers["location"] == "/api/image/generations/7"
    assert reply.headers["date"] != "never"
    assert not {"server", "x-powered-by", "x-hop", "keep-alive"} & set(reply.headers)
    await gateway.get("/api/coin/balance", headers=token)
    assert service.seen[1].values(b"cookie") == [b"a=1; b=2"]  # httpx sent them; the gateway keeps none itself


@pytest.mark.parametrize(
    ("wire", "status", "length"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, None),
        (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 99\r\netag: x\r\n\r\n", 304, None),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + answer(b"ok"), 200, "2"),
        (b"HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n", 200, "0"),
    ],
)
async def test_answers_without_a_body_and_interim_answers(
    gateway: httpx.AsyncClient, service: ScriptedService, token: dict[str, str], wire: bytes, status: int, length: str
) -> None:
    async def bare(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(wire)

    service.handler = bare
    for _ in range(2):
        reply = await gateway.get("/api/coin/balance", headers=token)
        assert (reply.status_code, reply.headers.get("content-length")) == (status, length)
        assert "link" not in reply.headers
    assert service.connections == 1


async def test_head_keeps_the_length_and_the_connection(
    gateway: httpx.AsyncClient, service: ScriptedService, token: dict[str, str]
) -> None:
    async def head(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-length: 300\r\n\r\n" if seen.head.startswith(b"HEAD") else answer(b"hi")
        )

    service.handler = head
    reply = await gateway.head("/api/coin/balance", headers=token)
    assert (reply.headers["content-length"], reply.content) == ("300", b"")
    assert (await gateway.get("/api/coin/balance", headers=token)).content == b"hi"
    assert service.connections == 1


async def test_an_answer_that_ends_with_the_connection(
    gateway: httpx.AsyncClient, service: ScriptedService, token: dict[str, str]
) -> None:
    async def until_close(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nsome")
        await writer.drain()
        writer.write(b"thing")
        writer.close()

    service.handler = until_close
    assert (await gateway.get("/api/coin/balance", headers=token)).content == b"something"
    assert (await gateway.get("/api/coin/balance", headers=token)).content == b"something"
    assert service.connections == 2


async def test_a_large_answer_waits_for_a_slow_client(
    gateway: httpx.AsyncClient, service: ScriptedService, token: dict[str, str]
) -> None:
    size = 40_000_000
    written = asyncio.Event()

    async def large(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        for _ in range(size // 100_000):
            writer.write(bytes(100_000))
            await writer.drain()
        written.set()

    service.handler = large
    async with gateway.stream("GET", "/api/coin/balance", headers=token) as reply:
        with pytest.raises(TimeoutError):  # nobody reads: the service must come to wait
            await asyncio.wait_for(written.wait(), 0.5)
        assert sum([len(piece) async for piece in reply.aiter_raw()]) == size


async def test_expect_100_continue(
    gateway: httpx.AsyncClient, service: ScriptedService, token: dict[str, str], raw: SendRaw
) -> None:
    head = (
        f"POST /api/coin/buy HTTP/1.1\r\nHost: x\r\nAuthorization: {token['Authorization']}\r\n"
        "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    ).encode()

    received = await raw(gateway, head, b"hi", pause=0.1)

    assert received.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert (service.seen[0].body, service.seen[0].values(b"expect")) == (b"hi", [])


async def test_a_connection_is_used_again(
    gateway: httpx.AsyncClient, service: ScriptedService, token: dict[str, str]
) -> None:
    for _ in range(20):
        assert (await gateway.get("/api/coin/balance", headers=token)).status_code == 200
    await asyncio.gather(*(gateway.get("/api/coin/balance", headers=token) for _ in range(50)))

    assert service.connections < 30
    assert len(service.seen) == 70


async def test_an_early_answer_ends_the_sending(
    gateway: httpx.AsyncClient, service: ScriptedService, token: dict[str, str]
) -> None:
    go_on = asyncio.Event()

    async def refuse(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"no", status=b"422 Unprocessable"))

    async def pieces() -> AsyncIterator[bytes]:
        yield b"a" * 100_000
        await go_on.wait()
        yield b"b" * 100_000

    service.handler = refuse
    request = asyncio.create_task(gateway.post("/api/coin/buy", content=pieces(), headers=token | {"X-Early": "1"}))
    await until(lambda: service.closed)
    go_on.set()
    assert (await request).status_code == 422
    service.handler = None
    assert (await gateway.get("/api/coin/balance", headers=token)).status_code == 200
