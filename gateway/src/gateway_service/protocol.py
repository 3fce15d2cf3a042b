"""uvicorn's HTTP protocol, less patient: requests arrive in time, within bounds, and framed in one way only.

A subclass, because uvicorn has no deadline for receiving a request, no bound on its head, and answers in plain text.
"""

import re
from asyncio import AbstractEventLoop, TimerHandle, Transport
from collections.abc import Callable
from typing import Any, cast

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from common.errors import BadRequestError, MethodNotAllowedError, ServiceError, ServiceUnavailableError
from common.request_id import valid_request_id
from gateway_service.answers import error_message
from gateway_service.corked import CorkedTransport
from gateway_service.errors import HeadTooLargeError, RequestTimeoutError, TargetTooLongError
from gateway_service.exchange import HANGUP_EXTENSION
from gateway_service.limits import LIMITS_STATE, Limits
from gateway_service.routing import METHODS

_NEVER = float("inf")
_CHECK_SECONDS = 1.0
_HOST = re.compile(rb"[A-Za-z0-9.\-_~]{1,255}(?::[0-9]{1,5})?|\[[0-9a-fA-F:.]{2,45}\](?::[0-9]{1,5})?")
_REQUEST_LINE = re.compile(rb"\s*[A-Za-z][A-Za-z0-9._-]{0,30} \S+ HTTP/1\.[01]\r\n")


class _Refused(Exception):  # noqa: N818 - leaves the parser; what is wrong is in ``_refusal``
    pass


class BoundedProtocol(HttpToolsProtocol):
    """One client's connection.

    Attributes:
        gone: The client closed it, or we did.
        on_hangup: Called once when that happens.
        on_stop: Called when the process stops: ends an answer that has no end of its own.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.gone = False
        self.on_hangup: Callable[[], None] | None = None
        self.on_stop: Callable[[], None] | None = None
        self._limits: Limits = app_state.get(LIMITS_STATE) or Limits()
        self._check_timer: TimerHandle | None = None
        self._deadline = self.loop.time() + self._limits.head_timeout_seconds
        """For what is being received: a head, the next piece of a body; never, between requests."""
        self._body_deadline = _NEVER
        self._write_deadline = _NEVER
        self._running: RequestResponseCycle | None = None
        self._in_head = False
        self._in_body = False
        self._begun = False
        self._head_bytes = 0
        self._unparsed_bytes = 0
        self._discarded_bytes = 0
        self._refusal: ServiceError | None = None
        self._closing = False

    # The connection.

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override] # as uvicorn narrows it
        super().connection_made(cast("Transport", CorkedTransport(transport, self.loop)))
        self._check()
        if len(self.connections) > self._limits.max_connections:
            self._refuse(ServiceUnavailableError())

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._check_timer is not None:
            self._check_timer.cancel()
        self._hang_up()

    def shutdown(self) -> None:
        super().shutdown()
        if self.on_stop is not None:
            self.on_stop()

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        self._unset_keepalive_if_required()
        if self._deadline == _NEVER:
            self._deadline = self.loop.time() + self._limits.head_timeout_seconds
        if self._in_head:
            self._unparsed_bytes += len(data)
        self._begun = True
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = self._head_without_upgrade() + data[upgrade.args[0] :]
                self._new_parser()
                continue
            except httptools.HttpParserError as error:
                self._refuse(self._refusal or _reason(error, data))
            break
        if self._in_head and self._unparsed_bytes > self._limits.max_head_bytes:
            self._refuse(HeadTooLargeError())

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_deadline = self.loop.time() + self._limits.write_stall_timeout_seconds

    def resume_writing(self) -> None:
        super().resume_writing()
        self._write_deadline = _NEVER

    # The parser's callbacks.

    def on_message_begin(self) -> None:
        super().on_message_begin()
        extensions: dict[str, Any] = {HANGUP_EXTENSION: self}
        self.scope["extensions"] = extensions
        self._in_head = True
        self._head_bytes = self._unparsed_bytes = self._discarded_bytes = 0
        self._deadline = self.loop.time() + self._limits.head_timeout_seconds

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > self._limits.max_target_bytes:
            self._stop(TargetTooLongError())

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer; uvicorn would add it to the headers of a request that may not have been looked at yet
        self._head_bytes += len(name) + len(value) + 4
        if self._head_bytes > self._limits.max_head_bytes or len(self.headers) >= self._limits.max_headers:
            self._stop(HeadTooLargeError())
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self.parser.get_method() == b"CONNECT":
            self._stop(MethodNotAllowedError(headers={"Allow": ", ".join(sorted(METHODS))}))
        if self.parser.should_upgrade():
            return  # comes again, without the wish for another protocol
        if not self._is_unambiguous() or len(self.pipeline) >= self._limits.max_pipelined:
            self._stop(BadRequestError())
        now = self.loop.time()
        self._deadline = now + self._limits.body_stall_timeout_seconds
        self._body_deadline = now + self._limits.body_timeout_seconds
        super().on_headers_complete()
        self._in_body = True

    def on_body(self, body: bytes) -> None:
        self._deadline = self.loop.time() + self._limits.body_stall_timeout_seconds
        if self.cycle.response_complete:
            # Answered already, with a refusal: the rest is read only so that the client comes to read the answer.
            self._discarded_bytes += len(body)
            if self._discarded_bytes > self._limits.max_discarded_bytes:
                self.transport.close()
        super().on_body(body)

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            self._in_body = False
            self._deadline = self._body_deadline = _NEVER
            super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._closing and self.cycle.response_complete and not self.transport.is_closing():
            self._close_gently()

    # Rules.

    def _is_unambiguous(self) -> bool:
        """Whether everybody who reads this head finds the same host and the same end of the body."""
        version = self.parser.get_http_version()
        hosts = [value for name, value in self.headers if name == b"host"]
        encodings = [value.lower() for name, value in self.headers if name == b"transfer-encoding"]
        return (
            version in ("1.0", "1.1")
            and (len(hosts) == 1 or (version == "1.0" and not hosts))
            and all(_HOST.fullmatch(host) for host in hosts)
            and (not encodings or (encodings == [b"chunked"] and version == "1.1"))
            and b"#" not in self.url
        )

    def _head_without_upgrade(self) -> bytes:
        """Build the head again without ``Upgrade``: servers may ignore it (RFC 9110, section 7.8), httptools cannot."""
        lines = [b"%b %b HTTP/%b\r\n" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        for name, value in self.headers:
            if name == b"connection":
                value = b", ".join(token for token in value.split(b",") if token.strip().lower() != b"upgrade")
            if name != b"upgrade":
                lines.append(name + b": " + value + b"\r\n")
        return b"".join(lines) + b"\r\n"

    def _new_parser(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def _stop(self, refusal: ServiceError) -> None:
        self._refusal = refusal
        raise _Refused

    # Ending.

    def _refuse(self, error: ServiceError) -> None:
        """Answer a request that no application has to see, if an answer can still be told apart, and close."""
        if self._closing:
            return
        self._closing = True
        self._deadline = self._body_deadline = _NEVER
        cycle = self.cycle
        answered = cycle is None or cycle.response_complete
        if answered and not self._in_body:
            self._answer_and_close(error)
        elif answered:
            self._close_gently()  # what is wrong is the rest of a body whose request has had its answer
        elif not self._in_body:
            return  # requests before it are still being answered; ``on_response_complete`` closes after the last
        elif self.pipeline or cycle.response_started:
            self.transport.abort()
        else:
            self._answer_and_close(error)
            self._hang_up()

    def _answer_and_close(self, error: ServiceError) -> None:
        sent_id = next((value.decode("latin-1") for name, value in self.headers or [] if name == b"x-request-id"), None)
        headers, body = error_message(error, valid_request_id(sent_id))
        lines = [name + b": " + value + b"\r\n" for name, value in (*self.server_state.default_headers, *headers)]
        self.transport.write(b"".join([STATUS_LINE[error.status], *lines, b"connection: close\r\n\r\n", body]))
        self._close_gently()

    def _close_gently(self) -> None:
        """Say that nothing more comes, and wait a little; closing with bytes unread could take the answer with it."""
        self._unset_keepalive_if_required()
        self.transport.write_eof()
        self._deadline = self.loop.time() + self._limits.linger_seconds

    def _hang_up(self) -> None:
        """Let the application know that there is nobody to answer; nothing it says goes out from here on."""
        self.gone = True
        if self._running is not None and not self._running.response_complete:
            # uvicorn tells only the latest of pipelined requests.
            self._running.disconnected = True
            self._running.message_event.set()
        if self.on_hangup is not None:
            self.on_hangup()
            self.on_hangup = None

    def _check(self) -> None:
        now = self.loop.time()
        if now >= self._write_deadline or (self._closing and now >= self._deadline):
            self.transport.abort()
        elif now >= min(self._deadline, self._body_deadline):
            if self.flow.read_paused:
                # It is we who do not read.
                self._deadline = self._body_deadline = now + self._limits.body_stall_timeout_seconds
            elif self._begun:
                self._refuse(RequestTimeoutError())
            else:
                self._deadline = _NEVER
                self.transport.close()
        if self.transport.is_closing() and self._write_deadline == _NEVER:
            self._write_deadline = now + self._limits.write_stall_timeout_seconds
        self._check_timer = self.loop.call_at(
            min(now + _CHECK_SECONDS, max(now, min(self._deadline, self._body_deadline, self._write_deadline))),
            self._check,
        )


def _reason(error: httptools.HttpParserError, data: bytes) -> ServiceError:
    if isinstance(error, httptools.HttpParserInvalidMethodError) and _REQUEST_LINE.match(data):
        return MethodNotAllowedError(headers={"Allow": ", ".join(sorted(METHODS))})
    return BadRequestError()
