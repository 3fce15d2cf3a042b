"""One request on its way to a service, and the answer on its way back."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Protocol

from starlette.types import Message, Receive, Scope, Send

from common.errors import PayloadTooLargeError
from gateway_service.answers import Header
from gateway_service.client_address import TrustedProxies
from gateway_service.connection import ConnectionDiedError, UpstreamConnection
from gateway_service.heads import RequestHead, answer_headers
from gateway_service.pool import UpstreamPool

GATHERED_BYTES = 64 * 1024
"""A body up to this size is here in full before a service hears of it: slow senders hold no connection to one."""

HANGUP_EXTENSION = "gateway.hangup"
"""A server that does not offer it lets an answer be fetched for a client that is gone, which costs time only."""

_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})


class ClientGoneError(Exception):
    """The client closed the connection; there is nobody to answer."""


class ClientConnection(Protocol):
    """What the server's protocol tells of the client's connection, under ``HANGUP_EXTENSION`` of the scope."""

    gone: bool
    on_hangup: Callable[[], None] | None
    on_stop: Callable[[], None] | None


class Exchange:
    """Carries one request to a service and its answer to the client; both bodies are streamed.

    Attributes:
        status: Of the answer whose head the client has; 0 before.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, head: RequestHead, *, max_body_bytes: int) -> None:
        self.status = 0
        self._scope = scope
        self._receive = receive
        self._send = send
        self._head = head
        self._room = max_body_bytes
        self._more_body = head.chunked or head.length > 0
        self._client: ClientConnection | None = scope.get("extensions", {}).get(HANGUP_EXTENSION)

    @property
    def started(self) -> bool:
        """The client has the answer's head, so nothing else can be answered any more."""
        return self.status != 0

    async def run(
        self, pool: UpstreamPool, proxies: TrustedProxies, *, timeout_seconds: float, extra: list[Header]
    ) -> None:
        """Forward the request.

        Args:
            pool: Connections to the service.
            proxies: Whose ``X-Forwarded-*`` are passed on.
            timeout_seconds: From the request's last byte to the answer's first.
            extra: Headers that the answer gets besides the service's.

        Raises:
            ServiceError: Nothing has been answered yet, so this can be.
            ClientGoneError: There is nobody to answer.
        """
        head = self._head
        has_body = self._more_body
        body = await self._gather() if has_body else b""
        data = head.render(self._scope, pool.authority, proxies, self._framing(body)) + body
        repeatable = head.method in _IDEMPOTENT and not has_body
        for last_try in (False, True):
            connection = await pool.acquire(fresh=last_try)
            try:
                self._watch_client(connection)
                connection.begin(data, head_request=head.method == "HEAD", timeout_seconds=timeout_seconds)
                if self._more_body:
                    await self._send_rest(connection)
                await connection.head()
                await self._relay(connection, extra)
                return
            except ConnectionDiedError as error:
                # It was closed while idle, just as we wrote: a new one may serve, if repeating can do no harm.
                if last_try or not (repeatable and connection.reused and error.untouched):
                    raise
            finally:
                self._watch_client(None)
                pool.release(connection)

    def _framing(self, gathered: bytes) -> bytes:
        head = self._head
        if self._more_body:
            return b"transfer-encoding: chunked\r\n" if head.chunked else b"content-length: %d\r\n" % head.length
        if gathered or head.chunked or head.method in ("POST", "PUT", "PATCH"):
            return b"content-length: %d\r\n" % len(gathered)
        return b""

    async def _gather(self) -> bytes:
        pieces = []
        size = 0
        while self._more_body and size < GATHERED_BYTES:
            piece = self._read(await self._receive())
            pieces.append(piece)
            size += len(piece)
        gathered = b"".join(pieces)
        # What is still to come makes this the first chunk, if the body is sent in chunks.
        return self._chunk(gathered) if self._more_body else gathered

    async def _send_rest(self, connection: UpstreamConnection) -> None:
        """Pass on what is left of the body, unless the service answers before it has it all."""
        while self._more_body and not connection.answered:
            receiving = asyncio.ensure_future(self._receive())
            try:
                await asyncio.wait((receiving, connection.stirring()), return_when=asyncio.FIRST_COMPLETED)
                if receiving.done():
                    await connection.write(self._chunk(self._read(receiving.result())))
            finally:
                receiving.cancel()
        if self._more_body:
            connection.spoil()

    def _read(self, message: Message) -> bytes:
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        piece: bytes = message.get("body", b"")
        self._more_body = message.get("more_body", False)
        self._room -= len(piece)
        if self._room < 0:
            raise PayloadTooLargeError
        return piece

    def _chunk(self, piece: bytes) -> bytes:
        if not self._head.chunked:
            return piece
        end = b"" if self._more_body else b"0\r\n\r\n"
        return b"%x\r\n%b\r\n%b" % (len(piece), piece, end) if piece else end

    async def _relay(self, connection: UpstreamConnection, extra: list[Header]) -> None:
        status, private = connection.status, self._head.target.startswith(b"/api/")
        headers = answer_headers(connection.headers, status=status, private=private)
        self.status = status
        if self._client is not None and _is_event_stream(headers):
            # Its reader comes back by itself, here or to another gateway, and drops what was cut within an event.
            self._client.on_stop = connection.cut
        await self._send({"type": "http.response.start", "status": status, "headers": headers + extra})
        while True:
            piece, complete = connection.take(), connection.complete
            if piece or complete:
                await self._send({"type": "http.response.body", "body": piece, "more_body": not complete})
            if complete:
                return
            await connection.more()

    def _watch_client(self, connection: UpstreamConnection | None) -> None:
        """Let the client's hanging up end what goes on on ``connection``."""
        if self._client is None:
            return
        if connection is None:
            self._client.on_hangup = self._client.on_stop = None
        elif self._client.gone:
            raise ClientGoneError
        else:
            self._client.on_hangup = partial(connection.abort, ClientGoneError())


def _is_event_stream(headers: list[Header]) -> bool:
    """Whether these are of server-sent events without a length."""
    said = dict(headers)
    return said.get(b"content-type", b"").startswith(b"text/event-stream") and b"content-length" not in said
