"""Streams of events and long polls: passed on as they come, apart from everything else, and gone with their client."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest

from common.testing import until
from gateway_service.testing import (
    AssertFailure,
    ScriptedService,
    Seen,
    SendRaw,
    StartGateway,
    answer,
    gateway_settings,
    running_gateway,
)

EVENTS = "/api/image/generations/0123456789abcdef01234567/events"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
MANY = 100

Reply = Callable[[asyncio.StreamWriter], Awaitable[None]]


def chunk(text: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(text), text)


def streams_events(service: ScriptedService, stream: Reply) -> None:
    """Let the service stream on the events' address, and answer everything else at once."""

    async def handle(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if seen.request_line == f"GET {EVENTS} HTTP/1.1".encode():
            writer.write(HEAD)
            await stream(writer)
        else:
            writer.write(answer())

    service.handler = handle


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(chunk(b": here\n\n"))
    await writer.drain()
    await asyncio.Event().wait()


@asynccontextmanager
async def open_streams(gateway: httpx.AsyncClient, headers: dict[str, str], number: int) -> AsyncIterator[None]:
    """Open streams whose first bytes have come."""
    limits = httpx.Limits(max_connections=None)
    async with (
        httpx.AsyncClient(base_url=gateway.base_url, timeout=10, limits=limits, trust_env=False) as many,
        AsyncExitStack() as stack,
    ):
        streams = [await stack.enter_async_context(many.stream("GET", EVENTS, headers=headers)) for _ in range(number)]
        pieces = [stream.aiter_raw() for stream in streams]  # kept: one that is forgotten closes its stream
        assert [await anext(piece) for piece in pieces] == [b": here\n\n"] * number
        yield


async def test_every_event_comes_at_once(
    gateway: httpx.AsyncClient, service: ScriptedService, token: dict[str, str]
) -> None:
    sent: asyncio.Queue[bytes] = asyncio.Queue()

    async def as_told(writer: asyncio.StreamWriter) -> None:
        while event := await sent.get():
            writer.write(chunk(event))
            await writer.drain()
        writer.write(b"0\r\n\r\n")

    streams_events(service, as_told)
    async with gateway.stream("GET", EVENTS, headers=token) as reply:
        assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
        pieces = reply.aiter_raw()
        for number in range(20):
            event = b"id: %d\nevent: progress\ndata: {}\n\n" % number
            began = time.monotonic()
            sent.put_nowait(event)
            assert await anext(pieces) == event
            assert time.monotonic() - began < 1.0
        sent.put_nowait(b"")
        assert [piece async for piece in pieces] == []


async def test_a_stream_may_be_longer_than_every_timeout_while_it_speaks(
    start_gateway: StartGateway, service: ScriptedService, token: dict[str, str]
) -> None:
    gateway = await start_gateway(
        upstream_timeout_seconds=0.3, generation_timeout_seconds=0.3, upstream_idle_timeout_seconds=1.1
    )

    said = 0

    async def speak(writer: asyncio.StreamWriter) -> None:
        nonlocal said
        end = time.monotonic() + 3  # the sweep of deadlines comes once a second
        while time.monotonic() < end:
            writer.write(chunk(b": still here\n\n"))
            said += 1
            await writer.drain()
            await asyncio.sleep(0.1)
        writer.write(b"0\r\n\r\n")

    streams_events(service, speak)
    assert (await gateway.get(EVENTS, headers=token)).text == ": still here\n\n" * said


async def test_a_stream_that_falls_silent_breaks_so_that_its_reader_comes_back(
    start_gateway: StartGateway, service: ScriptedService, token: dict[str, str]
) -> None:
    gateway = await start_gateway(upstream_idle_timeout_seconds=0.3)
    streams_events(service, endless)

    with pytest.raises(httpx.RemoteProtocolError):
        await gateway.get(EVENTS, headers=token)

    async def rest(writer: asyncio.StreamWriter) -> None:
        writer.write(chunk(b"id: 5\nevent: succeeded\ndata: {}\n\n") + b"0\r\n\r\n")

    streams_events(service, rest)
    reply = await gateway.get(EVENTS, headers=token | {"Last-Event-ID": "4"})
    assert reply.text.startswith("id: 5")
    assert service.seen[-1].values(b"last-event-id") == [b"4"]


async def test_what_the_asynchronous_order_says_comes_through(
    gateway: httpx.AsyncClient, service: ScriptedService, token: dict[str, str]
) -> None:
    said = {
        "Location": "/api/image/generations/0123456789abcdef01234567",
        "Preference-Applied": "respond-async",
        "Idempotent-Replayed": "true",
        "Retry-After": "3",
    }

    async def accept(seen: Seen, writer: asyncio.StreamWriter) -> None:
        lines = "".join(f"{name}: {value}\r\n" for name, value in said.items())
        writer.write(answer(b"{}", status=b"202 Accepted", headers=lines.encode()))

    service.handler = accept
    asked = {"Prefer": "respond-async, wait=5", "Idempotency-Key": "k", "Origin": "http://localhost:3000"}
    reply = await gateway.post("/api/image/generate", json={}, headers=token | asked)

    assert reply.status_code == 202
    assert {name: reply.headers[name] for name in said} == said
    assert service.seen[0].values(b"prefer") == [b"respond-async, wait=5"]
    assert service.seen[0].values(b"idempotency-key") == [b"k"]
    exposed = {name.strip().lower() for name in reply.headers["access-control-expose-headers"].split(",")}
    assert {name.lower() for name in said} <= exposed


async def test_a_web_page_may_send_what_streams_and_orders_need(gateway: httpx.AsyncClient) -> None:
    asked = {
        "Origin": "http://localhost:3000",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization,last-event-id,prefer,idempotency-key",
    }
    reply = await gateway.options(EVENTS, headers=asked)
    assert reply.status_code == 204
    allowed = {name.strip().lower() for name in reply.headers["access-control-allow-headers"].split(",")}
    assert set(asked["Access-Control-Request-Headers"].split(",")) <= allowed
    assert "DELETE" in reply.headers["access-control-allow-methods"]


@pytest.mark.parametrize("path", [EVENTS, EVENTS.removesuffix("/events") + "?wait=60"])
async def test_a_client_that_leaves_is_gone_for_the_service_at_once(
    gateway: httpx.AsyncClient, service: ScriptedService, token: dict[str, str], path: str
) -> None:
    async def hang(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if path == EVENTS:
            writer.write(HEAD + chunk(b": here\n\n"))
            await writer.drain()
        await asyncio.Event().wait()

    service.handler = hang
    reading = asyncio.create_task(gateway.get(path, headers=token))
    await until(lambda: service.seen)
    assert service.callers == 1

    reading.cancel()

    await until(lambda: service.callers == 0, seconds=1.0)


async def test_a_hundred_open_streams_leave_room_for_everything_else(
    start_gateway: StartGateway, service: ScriptedService, token: dict[str, str], assert_failure: AssertFailure
) -> None:
    gateway = await start_gateway(upstream_connections=2, max_requests=2, max_followers=MANY)
    streams_events(service, endless)
    async with open_streams(gateway, token, MANY):
        began = time.monotonic()
        for _ in range(10):
            assert (await gateway.get("/api/image/history", headers=token)).status_code == 200
            assert (await gateway.delete(EVENTS.removesuffix("/events"), headers=token)).status_code == 200
        full = await gateway.get(EVENTS, headers=token)
        assert time.monotonic() - began < 3.0
        assert_failure(full, 503, "service_unavailable")
        assert int(full.headers["retry-after"]) >= 1
    await until(lambda: service.callers <= 2)
    async with open_streams(gateway, token, MANY):
        pass


async def test_requests_at_their_bound_leave_room_for_streams(
    start_gateway: StartGateway, service: ScriptedService, token: dict[str, str]
) -> None:
    gateway = await start_gateway(max_requests=1)
    go_on = asyncio.Event()

    async def handle(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if not seen.request_line.startswith(b"GET /api/image/generations/"):
            await go_on.wait()
        writer.write(answer())

    service.handler = handle
    busy = asyncio.create_task(gateway.get("/api/image/history", headers=token))
    await until(lambda: service.seen)
    assert (await gateway.get("/api/image/history", headers=token)).status_code == 503
    assert (await gateway.get(EVENTS, headers=token)).status_code == 200
    go_on.set()
    assert (await busy).status_code == 200


async def test_a_stopping_gateway_ends_streams_and_lets_answers_finish(
    service: ScriptedService, token: dict[str, str]
) -> None:
    go_on = asyncio.Event()

    async def handle(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if seen.request_line == f"GET {EVENTS} HTTP/1.1".encode():
            writer.write(HEAD)
            await endless(writer)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nha")
        await writer.drain()
        await go_on.wait()
        writer.write(b"lf")

    service.handler = handle
    stack = AsyncExitStack()
    settings = gateway_settings(service.url)
    port = await stack.enter_async_context(running_gateway(settings, graceful_seconds=10))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False) as client:
        stream = asyncio.create_task(client.get(EVENTS, headers=token))
        picture = asyncio.create_task(client.get("/api/image/history", headers=token))
        await until(lambda: len(service.seen) == 2)

        stopping = asyncio.create_task(stack.aclose())

        assert (await stream).text == ": here\n\n"
        assert not picture.done()
        go_on.set()
        assert (await picture).text == "half"
        await asyncio.wait_for(stopping, 5)


async def test_a_stream_has_no_other_methods_here(
    gateway: httpx.AsyncClient, service: ScriptedService, token: dict[str, str], raw: SendRaw
) -> None:
    async def refuse(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if seen.request_line.startswith(b"HEAD"):
            writer.write(b"HTTP/1.1 405 Method Not Allowed\r\nallow: GET\r\ncontent-length: 40\r\n\r\n")
        else:
            writer.write(answer(b"{}", status=b"405 Method Not Allowed", headers=b"Allow: GET\r\n"))

    service.handler = refuse
    for method in ("HEAD", "OPTIONS", "POST"):
        reply = await gateway.request(method, EVENTS, headers=token)
        assert (reply.status_code, reply.headers["allow"]) == (405, "GET")
    assert service.connections == 1
