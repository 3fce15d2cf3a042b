"""For tests and measurements: a service that does what it is told, and the gateway itself on a real socket."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn

from common.testing import TEST_SECRETS, until
from gateway_service.main import create_app
from gateway_service.protocol import BoundedProtocol
from gateway_service.routing import SERVICES
from gateway_service.settings import Settings

_START_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it lay on the wire."""

    head: bytes
    body: bytes
    connection: int

    @property
    def request_line(self) -> bytes:
        return self.head.split(b"\r\n", 1)[0]

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        lines = self.head.split(b"\r\n")[1:-2]
        return [(name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]

    def values(self, name: bytes) -> list[bytes]:
        return [value for known, value in self.headers if known == name]


StartGateway = Callable[..., Awaitable[httpx.AsyncClient]]
"""Starts a gateway with settings of the test's own; returns a client of it."""

SendRaw = Callable[..., Awaitable[bytes]]
"""Sends bytes as they are; returns every byte that came until the gateway closed or was silent for a while."""

AssertRefused = Callable[[bytes, int, str], None]
AssertFailure = Callable[[httpx.Response, int, str], None]

Handler = Callable[[Seen, asyncio.StreamWriter], Awaitable[None]]


def answer(body: bytes = b"{}", *, status: bytes = b"200 OK", headers: bytes = b"") -> bytes:
    """Build an answer with a ``Content-Length``."""
    return b"HTTP/1.1 %b\r\ncontent-length: %d\r\n%b\r\n%b" % (status, len(body), headers, body)


@dataclass
class ScriptedService:
    """A server that reads HTTP/1.1 by hand, keeps every byte, and answers what its ``handler`` writes."""

    port: int = 0
    handler: Handler | None = None
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    arriving: bytearray = field(default_factory=bytearray)
    """Every byte of bodies, as soon as it is here."""

    closed: int = 0
    _connections: dict[asyncio.StreamWriter, asyncio.StreamReader] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def callers(self) -> int:
        """Connections that the other side has not closed, whatever the handler is doing."""
        return sum(not reader.at_eof() and reader.exception() is None for reader in self._connections.values())

    def close_connections(self) -> None:
        for writer in self._connections:
            writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        self._connections[writer] = reader
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    early = Seen(head, b"", number)
                    if early.values(b"x-early"):
                        self.seen.append(early)
                        await self._answer(early, writer)
                    body = await self._body(early, reader)
                    if not early.values(b"x-early"):
                        self.seen.append(Seen(head, body, number))
                        await self._answer(self.seen[-1], writer)
        finally:
            self.closed += 1
            del self._connections[writer]
            writer.close()

    async def _answer(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        if self.handler is None:
            writer.write(answer())
        else:
            await self.handler(seen, writer)
        await writer.drain()

    async def _body(self, seen: Seen, reader: asyncio.StreamReader) -> bytes:
        start = len(self.arriving)
        if seen.values(b"transfer-encoding"):
            while size := int(await reader.readuntil(b"\r\n"), 16):
                await self._read(reader, size)
                await reader.readexactly(2)
            await reader.readexactly(2)
        else:
            await self._read(reader, int((seen.values(b"content-length") or [b"0"])[0]))
        return bytes(self.arriving[start:])

    async def _read(self, reader: asyncio.StreamReader, size: int) -> None:
        while size:
            piece = await reader.read(min(size, 65536))
            if not piece:
                raise asyncio.IncompleteReadError(b"", size)
            self.arriving += piece
            size -= len(piece)


def statuses(received: bytes) -> list[int]:
    """Read the statuses of all answers; raises if a body is not as long as it was said to be."""
    found = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        found.append(int(lines[0].split()[1]))
        lengths = [int(line[15:]) for line in lines if line.lower().startswith(b"content-length:")]
        length = lengths[0] if lengths else 0
        if len(rest) < length:
            raise AssertionError("an answer was cut short")
        received = rest[length:]
    return found


@asynccontextmanager
async def running_service(handler: Handler | None = None) -> AsyncIterator[ScriptedService]:
    """Run a scripted service on a free port."""
    service = ScriptedService(handler=handler)
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0, limit=1 << 20)
    service.port = server.sockets[0].getsockname()[1]
    try:
        yield service
    finally:
        server.close()
        service.close_connections()
        await server.wait_closed()


def gateway_settings(upstream_url: str, **overrides: Any) -> Settings:
    """Build settings that send every service's requests to one address."""
    urls = {f"{name}_url": upstream_url for name in SERVICES}
    values: dict[str, Any] = {"port": 0, "environment": "test", "jwt_secret": TEST_SECRETS["jwt_secret"], **urls}
    return Settings(**(values | overrides))


@asynccontextmanager
async def running_gateway(settings: Settings, *, graceful_seconds: int = 1) -> AsyncIterator[int]:
    """Serve the gateway on a free port of this machine, as ``__main__`` does; yields the port."""
    config = uvicorn.Config(
        create_app(settings),
        http=BoundedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=graceful_seconds,
    )
    server = uvicorn.Server(config)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        await until(lambda: server.started or serving.done(), seconds=_START_SECONDS)
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            await serving
