"""How slow a client may be, and how many of them."""

import asyncio

import httpx

from common.testing import until
from gateway_service.testing import AssertRefused, ScriptedService, Seen, SendRaw, StartGateway, answer, statuses

POST = b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\n"
GET = b"GET /api/auth/login HTTP/1.1\r\nHost: x\r\n\r\n"


class TestSlowClients:
    """A receipt deadline: uvicorn has none of its own."""

    async def test_a_slow_head_is_cut(
        self, start_gateway: StartGateway, raw: SendRaw, assert_refused: AssertRefused
    ) -> None:
        gateway = await start_gateway(head_timeout_seconds=0.4)
        drips = [b"GET / HTTP/1.1\r\nHost: x\r\n", *[b"A: b\r\n"] * 30]
        assert_refused(await raw(gateway, *drips, silence_seconds=3, pause=0.05), 408, "request_timeout")

    async def test_a_slow_second_head_is_cut(self, start_gateway: StartGateway, raw: SendRaw) -> None:
        gateway = await start_gateway(head_timeout_seconds=0.4)
        received = await raw(gateway, GET, b"GET / HT", silence_seconds=3, pause=0.1)
        assert statuses(received) == [200, 408]

    async def test_a_silent_connection_is_closed(self, start_gateway: StartGateway, raw: SendRaw) -> None:
        gateway = await start_gateway(head_timeout_seconds=0.4)
        assert await raw(gateway, silence_seconds=3) == b""
        received = await raw(gateway, *[b"\r\n"] * 40, silence_seconds=3, pause=0.05)
        assert statuses(received) in ([], [408])

    async def test_a_stalled_body_is_cut(
        self, start_gateway: StartGateway, service: ScriptedService, raw: SendRaw, assert_refused: AssertRefused
    ) -> None:
        gateway = await start_gateway(body_stall_timeout_seconds=0.4)
        received = await raw(gateway, POST + b"Content-Length: 10\r\n\r\nhalf", silence_seconds=3)
        assert_refused(received, 408, "request_timeout")
        assert service.seen == []

    async def test_a_dripping_body_is_cut(
        self, start_gateway: StartGateway, service: ScriptedService, raw: SendRaw, assert_refused: AssertRefused
    ) -> None:
        gateway = await start_gateway(body_stall_timeout_seconds=0.4, body_timeout_seconds=0.8)
        drips = [POST + b"Content-Length: 100\r\n\r\n", *[b"a"] * 30]
        assert_refused(await raw(gateway, *drips, silence_seconds=3, pause=0.05), 408, "request_timeout")
        assert service.connections == 0  # it never held a connection to the service

    async def test_a_stalled_large_body_frees_the_service(
        self, start_gateway: StartGateway, service: ScriptedService, raw: SendRaw, assert_refused: AssertRefused
    ) -> None:
        gateway = await start_gateway(body_stall_timeout_seconds=0.4, upstream_connections=1)
        received = await raw(gateway, POST + b"Content-Length: 500000\r\n\r\n" + b"a" * 200_000, silence_seconds=3)
        assert_refused(received, 408, "request_timeout")
        assert (await gateway.get("/api/auth/login")).status_code == 200
        assert len(service.seen) == 1

    async def test_a_slow_answer_is_not_a_slow_request(
        self, start_gateway: StartGateway, service: ScriptedService, raw: SendRaw
    ) -> None:
        gateway = await start_gateway(head_timeout_seconds=0.2, body_stall_timeout_seconds=0.2)
        slow_ones_cut = asyncio.Event()

        async def slowly(seen: Seen, writer: asyncio.StreamWriter) -> None:
            await slow_ones_cut.wait()
            writer.write(answer())

        service.handler = slowly
        request = asyncio.create_task(gateway.post("/api/auth/login", content=b"{}"))
        await until(lambda: service.seen)
        assert statuses(await raw(gateway, b"GET / HT", silence_seconds=3)) == [408]
        assert statuses(await raw(gateway, POST + b"Content-Length: 9\r\n\r\nhalf", silence_seconds=3)) == [408]
        slow_ones_cut.set()
        assert (await request).status_code == 200

    async def test_200_idle_connections_stop_nobody(self, gateway: httpx.AsyncClient) -> None:
        idle = [await asyncio.open_connection("127.0.0.1", gateway.base_url.port) for _ in range(200)]
        half = [await asyncio.open_connection("127.0.0.1", gateway.base_url.port) for _ in range(200)]
        for _, writer in half:
            writer.write(b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        try:
            async with asyncio.timeout(2):
                assert (await gateway.get("/api/auth/login")).status_code == 200
        finally:
            for _, writer in [*idle, *half]:
                writer.close()

    async def test_one_connection_too_many_is_503(
        self, start_gateway: StartGateway, raw: SendRaw, assert_refused: AssertRefused
    ) -> None:
        gateway = await start_gateway(max_connections=3)
        held = [await asyncio.open_connection("127.0.0.1", gateway.base_url.port) for _ in range(3)]
        try:
            assert_refused(await raw(gateway, GET, silence_seconds=3), 503, "service_unavailable")
        finally:
            for _, writer in held:
                writer.close()
