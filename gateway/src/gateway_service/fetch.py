"""Small questions to the services on the gateway's own behalf: are you well, what do you offer."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from common.errors import ServiceError, UpstreamError
from common.request_id import current_request_id
from gateway_service.pool import UpstreamPool

MAX_BYTES = 4 * 1024 * 1024


async def fetch(pool: UpstreamPool, path: str, *, timeout_seconds: float) -> tuple[int, bytes]:
    """Get ``path`` of a service; returns status and body.

    Raises:
        ServiceError: It is away, too slow, or answers what is not HTTP or has no end.
        TimeoutError: The whole of it took longer than ``timeout_seconds``.
    """
    head = b"GET %b HTTP/1.1\r\nhost: %b\r\nx-request-id: %b\r\n\r\n"
    data = head % (path.encode(), pool.authority, current_request_id().encode())
    async with asyncio.timeout(timeout_seconds):
        connection = await pool.acquire(fresh=True)  # an idle one might be dead, and this is not worth a second try
        try:
            connection.begin(data, head_request=False, timeout_seconds=timeout_seconds)
            await connection.head()
            body = bytearray()
            while True:
                piece, complete = connection.take(), connection.complete
                body += piece
                if complete:
                    return connection.status, bytes(body)
                if len(body) > MAX_BYTES:
                    raise UpstreamError
                await connection.more()
        finally:
            pool.release(connection)


async def fetch_all(
    pools: Mapping[str, UpstreamPool], path: str, *, timeout_seconds: float
) -> dict[str, tuple[int, bytes] | None]:
    """Get ``path`` of every service at once; ``None`` for those that do not answer."""

    async def one(pool: UpstreamPool) -> tuple[int, bytes] | None:
        try:
            return await fetch(pool, path, timeout_seconds=timeout_seconds)
        except (ServiceError, TimeoutError):
            return None

    return dict(zip(pools, await asyncio.gather(*map(one, pools.values())), strict=True))


def parse_object(body: bytes) -> dict[str, Any] | None:
    """Read a JSON object; ``None`` if it is something else."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None
