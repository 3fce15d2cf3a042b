"""A gateway on a real socket before a service that does what the test tells it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
import pytest_asyncio

from common.testing import user_headers
from gateway_service.testing import (
    AssertFailure,
    AssertRefused,
    ScriptedService,
    SendRaw,
    StartGateway,
    gateway_settings,
    running_gateway,
    running_service,
    statuses,
)

USER = "0123456789abcdef01234567"


@pytest.fixture
def token() -> dict[str, str]:
    """The header of a signed-in user."""
    return user_headers(USER)


@pytest_asyncio.fixture
async def service() -> AsyncIterator[ScriptedService]:
    async with running_service() as running:
        yield running


@pytest_asyncio.fixture
async def start_gateway(service: ScriptedService) -> AsyncIterator[StartGateway]:
    """Start a gateway with settings of the test's own; returns a client of it."""
    async with AsyncExitStack() as stack:

        async def start(**overrides: Any) -> httpx.AsyncClient:
            port = await stack.enter_async_context(running_gateway(gateway_settings(service.url, **overrides)))
            client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False)
            return await stack.enter_async_context(client)

        yield start


@pytest_asyncio.fixture
async def gateway(start_gateway: StartGateway) -> httpx.AsyncClient:
    """A client of a gateway with the ordinary settings."""
    return await start_gateway()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def _shared() -> AsyncIterator[tuple[ScriptedService, httpx.AsyncClient]]:
    async with (
        running_service() as service,
        running_gateway(gateway_settings(service.url)) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False) as client,
    ):
        yield service, client


@pytest.fixture
def shared_service(_shared: tuple[ScriptedService, httpx.AsyncClient]) -> ScriptedService:
    """A service for many small tests of one module (``loop_scope="module"``); it has seen nothing yet."""
    _shared[0].seen.clear()
    return _shared[0]


@pytest.fixture
def shared_gateway(_shared: tuple[ScriptedService, httpx.AsyncClient]) -> httpx.AsyncClient:
    """The gateway before it."""
    return _shared[1]


@pytest.fixture
def raw() -> SendRaw:
    """Send bytes as they are and return every byte that comes until the gateway closes, or is silent for a while."""

    async def send(
        client: httpx.AsyncClient, *parts: bytes, silence_seconds: float = 0.5, pause: float = 0.02
    ) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
        received = bytearray()
        try:
            for part in parts:
                writer.write(part)
                await asyncio.sleep(pause)
            while piece := await asyncio.wait_for(reader.read(65536), silence_seconds):
                received += piece
        except (TimeoutError, ConnectionError):
            pass
        finally:
            writer.close()
        return bytes(received)

    return send


@pytest.fixture
def assert_refused() -> AssertRefused:
    """Check that these bytes are one failure of this status and code, after which the connection closes."""

    def check(received: bytes, status: int, code: str) -> None:
        assert statuses(received) == [status]
        head, _, body = received.partition(b"\r\n\r\n")
        parsed = json.loads(body)
        assert (parsed["success"], parsed["code"]) == (False, code)
        assert b"\r\nx-request-id: " + parsed["requestId"].encode() in head
        assert b"\r\nconnection: close" in head
        assert b"\r\nx-content-type-options: nosniff" in head

    return check


@pytest.fixture
def assert_failure() -> AssertFailure:
    """Check that an answer is a failure of this status and code, in the wire's one body."""

    def check(reply: httpx.Response, status: int, code: str) -> None:
        body = reply.json()
        assert (reply.status_code, body["code"]) == (status, code)
        assert set(body) == {"success", "code", "message", "details", "requestId"}
        assert body["success"] is False
        assert body["requestId"] == reply.headers["x-request-id"]
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["cache-control"] == "no-store"

    return check
