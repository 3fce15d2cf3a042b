"""A closed-loop load generator: each connection sends its next request when the last answer is complete.

Written on bare streams because a full client (httpx, aiohttp) would cost more than what is measured.
"""

import asyncio
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Figures:
    """What one load gave; times in milliseconds."""

    requests: int
    seconds: float
    p50: float
    p99: float
    slowest: float
    failures: int

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds

    def __str__(self) -> str:
        text = (
            f"{self.per_second:8.0f} /s   p50 {self.p50:7.2f} ms   p99 {self.p99:7.2f} ms   max {self.slowest:7.1f} ms"
        )
        return text + (f"   {self.failures} FAILED" if self.failures else "")


RequestOf = Callable[[int, int], bytes]
"""Build the request number ``n`` of connection ``c``."""


def request(
    base_url: str, method: str, path: str, *, headers: dict[str, str] | None = None, body: bytes = b""
) -> bytes:
    """Build the bytes of one request."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {urlsplit(base_url).netloc}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def run(
    base_url: str, request_of: RequestOf, *, connections: int, seconds: float, warm_up: int = 3, parts: int = 1
) -> Figures:
    """Load ``base_url`` for a while and measure; ``parts`` requests in turn are one operation, timed as a whole."""
    latencies: list[float] = []
    failures = 0
    address = urlsplit(base_url)
    start = asyncio.Event()
    ends = 0.0

    async def work(connection: int) -> None:
        nonlocal failures
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            for number in range(warm_up):
                await _exchange(reader, writer, request_of(connection, -1 - number))
            ready.release()
            await start.wait()
            number = 0
            while time.perf_counter() < ends:
                began = time.perf_counter()
                for _ in range(parts):
                    status = await _exchange(reader, writer, request_of(connection, number))
                    failures += status >= 400
                    number += 1
                latencies.append((time.perf_counter() - began) * 1000)
        finally:
            writer.close()

    ready = asyncio.Semaphore(0)
    workers = [asyncio.create_task(work(connection)) for connection in range(connections)]
    for _ in workers:
        await ready.acquire()
    began = time.perf_counter()
    ends = began + seconds
    start.set()
    await asyncio.gather(*workers)
    elapsed = time.perf_counter() - began
    ordered = sorted(latencies)
    return Figures(
        requests=len(ordered),
        seconds=elapsed,
        p50=statistics.median(ordered),
        p99=ordered[int(len(ordered) * 0.99) - 1],
        slowest=ordered[-1],
        failures=failures,
    )


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, message: bytes) -> int:
    writer.write(message)
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head[9:12])
    lowered = head.lower()
    at = lowered.find(b"content-length:")
    if at >= 0:
        await reader.readexactly(int(lowered[at + 15 : lowered.index(b"\r\n", at)]))
    elif b"transfer-encoding: chunked" in lowered:
        while size := int((await reader.readline()).split(b";")[0], 16):
            await reader.readexactly(size + 2)
        await reader.readline()
    return status
