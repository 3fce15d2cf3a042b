"""One keep-alive connection to a service; carries one exchange at a time."""

import asyncio
from collections import deque
from typing import cast

import httptools

from common.errors import UpstreamError, UpstreamTimeoutError

Header = tuple[bytes, bytes]

MAX_HEAD_BYTES = 64 * 1024
_BUFFER_BYTES = 256 * 1024
"""Of an answer that the client is slower to take than the service to give; then the service has to wait."""

_NEVER = float("inf")
_INTERIM = range(100, 200)
_FINAL = range(200, 600)


class ConnectionDiedError(UpstreamError):
    """The service closed the connection before its answer was complete."""

    def __init__(self, *, untouched: bool) -> None:
        super().__init__()
        self.untouched = untouched
        """Not one byte of an answer had come: on a reused connection, most likely it was closed while idle."""


class UpstreamConnection(asyncio.Protocol):
    """Speaks HTTP/1.1 as a client: ``begin``, ``write`` …, ``head``, then ``take`` and ``more`` until ``complete``."""

    def __init__(self, *, idle_timeout_seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._idle_timeout_seconds = idle_timeout_seconds
        self._transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self.opened_at = self._loop.time()
        self.idle_since = self.opened_at
        self.deadline = _NEVER
        """When the sweep ends the exchange; moves on with every piece of the answer that came or was taken."""
        self.reused = False
        self._timeout_seconds = idle_timeout_seconds
        self._open = False
        self._exchanging = False
        self._keep_alive = True
        self._reset(head_request=False)

    def _reset(self, *, head_request: bool) -> None:
        self.status = 0
        self.headers: list[Header] = []
        self.answered = False
        """The head of the answer is here."""
        self.complete = False
        self._error: Exception | None = None
        self._head_request = head_request
        self._head_bytes = 0
        self._until_eof = False
        self._touched = False
        self._pieces: deque[bytes] = deque()
        self._buffered = 0
        self._paused = False

    # What the proxy calls.

    @property
    def usable(self) -> bool:
        """Open, and nobody's exchange is on it."""
        return self._open and not self._exchanging and self._keep_alive

    def begin(self, data: bytes, *, head_request: bool, timeout_seconds: float) -> None:
        """Send a request's head, with as much of its body as is there."""
        self._reset(head_request=head_request)
        self._exchanging = True
        self._timeout_seconds = timeout_seconds
        if self._open:
            self._transport.write(data)
        else:
            self._fail(ConnectionDiedError(untouched=True))

    async def write(self, data: bytes) -> None:
        """Send more of the body; waits while the service is slow to take it."""
        if self._open and data:
            self._transport.write(data)
        if self._drained is not None:
            self.deadline = self._loop.time() + self._timeout_seconds
            await self._drained
            self.deadline = _NEVER

    async def head(self) -> None:
        """Wait for ``status`` and ``headers``; the timeout of the exchange begins here.

        Raises:
            ConnectionDiedError: The connection ended first.
            UpstreamError: What came is not HTTP.
            UpstreamTimeoutError: Nothing came in time.
        """
        if not self.answered:
            self.deadline = self._loop.time() + self._timeout_seconds
        while not self.answered:
            await self._changed()

    def take(self) -> bytes:
        """Return what is here of the answer's body, if anything."""
        if not self._pieces:
            return b""
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._buffered = 0
        self.deadline = self._loop.time() + self._idle_timeout_seconds
        if self._paused and self._open:
            self._paused = False
            self._transport.resume_reading()
        return data

    async def more(self) -> None:
        """Wait until there is something to ``take``, or the answer is complete; raises like ``head``."""
        while not self._pieces and not self.complete:
            await self._changed()

    def finish(self) -> None:
        """End the exchange; the connection stays ``usable`` only if the answer came whole and nothing after it."""
        self._exchanging = False
        self.deadline = _NEVER
        self.idle_since = self._loop.time()
        self.reused = True
        if not self.complete or not self._keep_alive:
            self.close()
        elif self._head_request:
            # The parser was told of a body that a HEAD does not have, and would wait for it.
            self._parser = httptools.HttpResponseParser(self)

    def stirring(self) -> asyncio.Future[None]:
        """Return a future that is done once the answer begins, or the connection fails."""
        if self._waiter is None or self._waiter.done():
            self._waiter = self._loop.create_future()
        if self.answered or self._error is not None:
            self._wake()
        return self._waiter

    def spoil(self) -> None:
        """Use the connection for nothing after this exchange: its request was not sent in full."""
        self._keep_alive = False

    def cut(self) -> None:
        """Take what is here for the whole answer."""
        self.complete = True
        self._keep_alive = False
        self._wake()

    def abort(self, error: Exception) -> None:
        """Give the exchange up: whoever waits for it gets ``error``."""
        self._fail(error)

    def expire(self, now: float) -> None:
        """Give the exchange up if its deadline is past."""
        if now >= self.deadline:
            self._fail(UpstreamTimeoutError())

    def close(self) -> None:
        self._keep_alive = False
        if self._open:
            self._open = False
            self._transport.abort()

    # Waiting.

    async def _changed(self) -> None:
        if self._error is not None:
            raise self._error
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, error: Exception) -> None:
        if self._exchanging and not self.complete and self._error is None:
            self._error = error
        self.close()
        self._wake()
        self.resume_writing()

    # asyncio's callbacks.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._open = True

    def data_received(self, data: bytes) -> None:
        if not self._exchanging or self.complete:
            self.close()  # nobody asked for these bytes, so they cannot belong to the next answer either
            return
        self._touched = True
        if not self.answered:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(UpstreamError())
            return
        if not self.answered and self._head_bytes > MAX_HEAD_BYTES:
            self._fail(UpstreamError())
        elif self._buffered > _BUFFER_BYTES and not self._paused and self._open:
            self._paused = True
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._open = False
        if self._exchanging and self._until_eof and exc is None and self._error is None:
            self.complete = True
        self._fail(ConnectionDiedError(untouched=not self._touched))

    def pause_writing(self) -> None:
        if self._drained is None:
            self._drained = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._drained is not None:
            if not self._drained.done():
                self._drained.set_result(None)
            self._drained = None

    # The parser's callbacks.

    def on_message_begin(self) -> None:
        if self.complete:
            self._keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.answered and not self.complete:  # later ones are trailers, which we do not carry on
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self.complete:
            return
        self.status = self._parser.get_status_code()
        if self.status in _INTERIM:
            return
        framing = {name: value for name, value in self.headers if name in (b"content-length", b"transfer-encoding")}
        if self.status not in _FINAL or framing.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
            raise ValueError("an answer that cannot be passed on")
        self._keep_alive = self._keep_alive and bool(self._parser.should_keep_alive())
        self.answered = True
        self.deadline = self._loop.time() + self._idle_timeout_seconds
        self.complete = self._head_request
        self._until_eof = not framing
        self._wake()

    def on_body(self, body: bytes) -> None:
        if self.complete:
            self._keep_alive = False
            return
        self._pieces.append(body)
        self._buffered += len(body)
        self._wake()

    def on_message_complete(self) -> None:
        if self.answered:
            self.complete = True
            self._wake()
        else:
            self.headers = []  # 1xx: the answer itself is still to come
