"""Requests as bytes: what no well-behaved client would send."""

import asyncio
from dataclasses import dataclass
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 15.0


@dataclass(frozen=True)
class Raw:
    """Everything that came back until the connection was closed."""

    content: bytes

    @property
    def status(self) -> int:
        """Of the first answer; 0 if the connection was closed without one."""
        return int(self.content.split(b" ", 2)[1]) if self.content.startswith(b"HTTP/1.1 ") else 0

    @property
    def answers(self) -> int:
        return self.content.count(b"HTTP/1.1 ")

    @property
    def body(self) -> bytes:
        return self.content.partition(b"\r\n\r\n")[2]


async def exchange(base_url: str, request: bytes) -> Raw:
    """Send ``request`` and read until the other side closes."""
    address = urlsplit(base_url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(request)
        return Raw(await asyncio.wait_for(reader.read(), TIMEOUT_SECONDS))
    finally:
        writer.close()


async def ask(base_url: str, method: str, target: str, *headers: str) -> Raw:
    """Send a request with exactly this target and these headers, for one answer."""
    head = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close", *headers]
    return await exchange(base_url, "\r\n".join([*head, "", ""]).encode("latin-1"))
