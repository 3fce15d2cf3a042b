"""Services that are away, slow, broken or gone half-way; clients that hang up."""

import asyncio
import socket
import time

import httpx
import pytest

from common.testing import until
from gateway_service.testing import AssertFailure, ScriptedService, Seen, SendRaw, StartGateway, answer


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


async def test_a_service_that_is_away_is_503_at_once(
    start_gateway: StartGateway, token: dict[str, str], assert_failure: AssertFailure
) -> None:
    gateway = await start_gateway(coin_url=f"http://127.0.0.1:{free_port()}")
    began = time.monotonic()

    reply = await gateway.post("/api/coin/earn", json={}, headers=token)

    assert_failure(reply, 503, "service_unavailable")
    assert int(reply.headers["retry-after"]) >= 1
    assert time.monotonic() - began < 1.0
    assert (await gateway.get("/api/user/profile", headers=token)).status_code == 200


async def test_an_unknown_host_is_503(
    start_gateway: StartGateway, token: dict[str, str], assert_failure: AssertFailure
) -> None:
    gateway = await start_gateway(coin_url="http://nowhere.invalid:5003")

    assert_failure(await gateway.get("/api/coin/balance", headers=token), 503, "service_unavailable")


async def test_connecting_takes_no_longer_than_allowed(
    start_gateway: StartGateway, token: dict[str, str], assert_failure: AssertFailure
) -> None:
    with socket.socket() as full:  # its queue of one is taken, so connecting to it hangs
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        taken = [socket.socket() for _ in range(3)]
        try:
            for one in taken:
                one.setblocking(False)
                one.connect_ex(full.getsockname())
            url = f"http://127.0.0.1:{full.getsockname()[1]}"
            gateway = await start_gateway(coin_url=url, upstream_connect_timeout_seconds=0.3)
            began = time.monotonic()
            assert_failure(await gateway.get("/api/coin/balance", headers=token), 503, "service_unavailable")
            assert time.monotonic() - began < 1.5
        finally:
            for one in taken:
                one.close()


async def test_it_works_again_once_the_service_is_back(
    start_gateway: StartGateway, service: ScriptedService, token: dict[str, str]
) -> None:
    port = free_port()
    gateway = await start_gateway(coin_url=f"http://127.0.0.1:{port}")
    assert (await gateway.get("/api/coin/balance", headers=token)).status_code == 503

    server = await asyncio.start_server(service.serve, "127.0.0.1", port)
    try:
        assert (await gateway.get("/api/coin/balance", headers=token)).status_code == 200
    finally:
        service.close_connections()
        server.close()
        await server.wait_closed()


async def test_a_slow_service_is_504(
    start_gateway: StartGateway, service: ScriptedService, token: dict[str, str], assert_failure: AssertFailure
) -> None:
    gateway = await start_gateway(upstream_timeout_seconds=0.3)

    given_up = asyncio.Event()

    async def hang(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await given_up.wait()
        writer.write(answer(b"late"))

    service.handler = hang
    drawing = asyncio.create_task(gateway.post("/api/image/generate", json={}, headers=token))
    await until(lambda: service.seen)
    began = time.monotonic()
    assert_failure(await gateway.get("/api/coin/balance", headers=token), 504, "upstream_timeout")
    assert time.monotonic() - began < 2.0
    given_up.set()
    assert (await drawing).content == b"late"  # asked before, and waited for beyond the ordinary timeout
    service.handler = None
    assert (await gateway.get("/api/coin/balance", headers=token)).status_code == 200


async def test_an_answer_that_stalls_is_broken_off(
    start_gateway: StartGateway, service: ScriptedService, token: dict[str, str]
) -> None:
    gateway = await start_gateway(upstream_idle_timeout_seconds=0.3)

    async def stall(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
        await writer.drain()
        await asyncio.Event().wait()

    service.handler = stall
    with pytest.raises(httpx.RemoteProtocolError):
        await gateway.get("/api/coin/balance", headers=token)


@pytest.mark.parametrize(
    "framing", [b"content-length: 10\r\n\r\nhalf", b"transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"]
)
async def test_a_service_that_dies_half_way_breaks_the_clients_connection(
    gateway: httpx.AsyncClient, service: ScriptedService, token: dict[str, str], framing: bytes
) -> None:
    async def die(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n" + framing)
        await writer.drain()
        writer.close()

    service.handler = die
    with pytest.raises(httpx.RemoteProtocolError):
        await gateway.get("/api/coin/balance", headers=token)


async def test_too_many_at_once_are_503_and_the_others_are_served(
    start_gateway: StartGateway, service: ScriptedService, token: dict[str, str], assert_failure: AssertFailure
) -> None:
    gateway = await start_gateway(max_requests=3)
    go_on = asyncio.Event()

    async def wait(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        writer.write(answer())

    service.handler = wait
    running = [asyncio.create_task(gateway.get("/api/coin/balance", headers=token)) for _ in range(3)]
    await until(lambda: len(service.seen) >= 3)
    assert_failure(await gateway.get("/api/coin/balance", headers=token), 503, "service_unavailable")
    go_on.set()
    assert [(await task).status_code for task in running] == [200, 200, 200]
    assert (await gateway.get("/api/coin/balance", headers=token)).status_code == 200


async def test_few_connections_serve_many_and_the_waiting_is_bounded(
    start_gateway: StartGateway, service: ScriptedService, token: dict[str, str]
) -> None:
    gateway = await start_gateway(upstream_connections=2)

    async def briefly(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)
        writer.write(answer())

    service.handler = briefly
    replies = await asyncio.gather(*(gateway.get("/api/coin/balance", headers=token) for _ in range(4)))
    assert [reply.status_code for reply in replies] == [200] * 4
    assert service.connections == 2
    replies = await asyncio.gather(*(gateway.get("/api/coin/balance", headers=token) for _ in range(12)))
    assert sorted({reply.status_code for reply in replies}) == [200, 503]
    assert (await gateway.get("/api/coin/balance", headers=token)).status_code == 200


@pytest.mark.parametrize("answering", [False, True])
async def test_a_client_that_hangs_up_frees_the_connection(
    start_gateway: StartGateway, service: ScriptedService, token: dict[str, str], answering: bool
) -> None:
    gateway = await start_gateway(upstream_connections=1)

    async def endless(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if answering:
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n")
            await writer.drain()
        await asyncio.Event().wait()

    service.handler = endless
    request = asyncio.create_task(gateway.get("/api/coin/balance", headers=token))
    await until(lambda: service.seen)
    request.cancel()
    service.handler = None
    assert (await gateway.get("/api/coin/balance", headers=token)).status_code == 200


async def test_a_client_that_hangs_up_in_its_body_never_reaches_the_service(
    gateway: httpx.AsyncClient, service: ScriptedService, token: dict[str, str], raw: SendRaw
) -> None:
    line, length = "POST /api/coin/buy HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n", "\r\n\r\nhalf"

    await raw(gateway, f"{line}Authorization: {token['Authorization']}{length}".encode(), silence_seconds=0.05)

    assert (await gateway.get("/api/coin/balance", headers=token)).status_code == 200
    assert len(service.seen) == 1
