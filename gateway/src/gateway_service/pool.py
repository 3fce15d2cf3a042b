"""The connections to one service: few, kept alive, handed out one exchange at a time."""

import asyncio
import random
import socket
from collections import deque
from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from common.errors import ServiceUnavailableError
from common.logging import get_logger
from gateway_service.connection import UpstreamConnection

logger = get_logger(__name__)

KEEP_IDLE_SECONDS = 30.0
"""Less than a service keeps an idle connection, so that no request is sent into a closing one."""

MAX_AGE_SECONDS = 60.0
"""Then a connection is not used again, so that instances added to a service soon get their share."""

MAX_IDLE = 64
SWEEP_SECONDS = 1.0
_LEAST_SECONDS_AN_ADDRESS = 0.3


class UpstreamPool:
    """Connections to one service.

    Args:
        name: Of the service.
        url: ``http://host:port``; a host of several addresses is asked for again at each new connection.
        max_connections: Lent at once; as many more callers may wait for one, ``wait_seconds`` each.
        connect_timeout_seconds: For name lookup and connecting, all addresses together.
        idle_timeout_seconds: Longest pause within an answer.
        wait_seconds: For a connection to come free.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        max_connections: int = 256,
        connect_timeout_seconds: float = 2.0,
        idle_timeout_seconds: float = 60.0,
        wait_seconds: float = 2.0,
    ) -> None:
        address = urlsplit(url)
        self.name = name
        self.authority = address.netloc.encode("ascii")
        self._host = address.hostname or ""
        self._tls = address.scheme == "https"
        self._port = address.port or (443 if self._tls else 80)
        self._max_connections = max_connections
        self._connect_timeout_seconds = connect_timeout_seconds
        self._idle_timeout_seconds = idle_timeout_seconds
        self._wait_seconds = wait_seconds
        self._slots = max_connections
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._idle: list[UpstreamConnection] = []
        self._lent: set[UpstreamConnection] = set()

    async def acquire(self, *, fresh: bool = False) -> UpstreamConnection:
        """Lend a connection; it must come back by ``release``.

        Args:
            fresh: Open a new one, because an idle one has just turned out to be dead.

        Raises:
            ServiceUnavailableError: The service cannot be reached, or too many wait for it already.
        """
        await self._take_slot()
        try:
            connection = None if fresh else self._pop_idle()
            if connection is None:
                connection = await self._connect()
        except BaseException:
            self._free_slot()
            raise
        self._lent.add(connection)
        return connection

    def release(self, connection: UpstreamConnection) -> None:
        """Take a connection back; it is kept if its exchange ended well."""
        self._lent.discard(connection)
        connection.finish()
        if connection.usable and len(self._idle) < MAX_IDLE:
            self._idle.append(connection)
        else:
            connection.close()
        self._free_slot()

    def sweep(self, now: float) -> None:
        """End exchanges past their deadline and connections nobody has used for long."""
        for connection in list(self._lent):
            connection.expire(now)
        kept = []
        for connection in self._idle:
            if self._is_good(connection, now):
                kept.append(connection)
            else:
                connection.close()
        self._idle = kept

    def close(self) -> None:
        for connection in [*self._idle, *self._lent]:
            connection.close()
        self._idle.clear()

    def _pop_idle(self) -> UpstreamConnection | None:
        now = asyncio.get_running_loop().time()
        while self._idle:
            connection = self._idle.pop()  # the one used last is the least likely to be dead
            if self._is_good(connection, now):
                return connection
            connection.close()
        return None

    @staticmethod
    def _is_good(connection: UpstreamConnection, now: float) -> bool:
        return (
            connection.usable
            and now - connection.idle_since < KEEP_IDLE_SECONDS
            and now - connection.opened_at < MAX_AGE_SECONDS
        )

    async def _take_slot(self) -> None:
        if self._slots > 0:
            self._slots -= 1
            return
        if len(self._waiters) >= self._max_connections:
            raise ServiceUnavailableError
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(self._wait_seconds):
                await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled():
                self._free_slot()  # it was handed to us in the very moment we gave up
            elif waiter in self._waiters:
                self._waiters.remove(waiter)
            if isinstance(error, TimeoutError):
                raise ServiceUnavailableError from error
            raise

    def _free_slot(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)  # the slot goes straight to the one who waited longest
                return
        self._slots += 1

    async def _connect(self) -> UpstreamConnection:
        cause: Exception | None = None
        try:
            async with asyncio.timeout(self._connect_timeout_seconds):
                addresses = await self._addresses()
                share = max(self._connect_timeout_seconds / len(addresses), _LEAST_SECONDS_AN_ADDRESS)
                for address in addresses:
                    try:
                        async with asyncio.timeout(share):
                            return await self._connect_to(address)
                    except OSError as error:  # TimeoutError is one
                        cause = error
        except OSError as error:
            cause = error
        logger.warning("upstream unreachable", upstream=self.name, cause=type(cause).__name__)
        raise ServiceUnavailableError from cause

    async def _connect_to(self, address: str) -> UpstreamConnection:
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: UpstreamConnection(idle_timeout_seconds=self._idle_timeout_seconds),
            address,
            self._port,
            ssl=self._tls or None,
            server_hostname=self._host if self._tls else None,
        )
        return connection

    async def _addresses(self) -> list[str]:
        try:
            return [str(ip_address(self._host))]
        except ValueError:
            found = await asyncio.get_running_loop().getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        # The resolver sorts; without this, one instance of a scaled service would get every connection.
        random.shuffle(addresses)
        return addresses


async def sweep_forever(pools: Iterable[UpstreamPool], *, every_seconds: float = SWEEP_SECONDS) -> None:
    """Keep every pool's deadlines; one timer in all instead of one a request."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(every_seconds)
        for pool in pools:
            pool.sweep(loop.time())
