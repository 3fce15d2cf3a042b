"""Around every request: its id, one log line, a cap on its body, and a 500 for the unexpected.

Pure ASGI: Starlette's ``BaseHTTPMiddleware`` swallows disconnects and breaks context variables.
"""

import time
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from fastapi import FastAPI
from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.error_handlers import error_response
from common.errors import InternalError, PayloadTooLargeError
from common.logging import get_logger
from common.request_id import REQUEST_ID_HEADER, TRACEPARENT_HEADER, bind_request

logger = get_logger("http")

REQUESTS = Counter("http_requests_total", "Requests answered", ["method", "route", "status"])
SECONDS = Histogram("http_request_seconds", "Seconds to the end of the answer", ["method", "route"])

_ID_NAME = REQUEST_ID_HEADER.lower().encode()
_DEFAULTS = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))
"""Headers of an answer that does not set them itself; ASGI's names are in lower case."""

_QUIET = ("/health", "/ready", "/metrics")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class RequestMiddleware:
    """Keeps the request's id, logs one line, and turns the unexpected into the contract's 500."""

    def __init__(self, app: ASGIApp, *, max_body_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = bind_request(headers.get(REQUEST_ID_HEADER), headers.get(TRACEPARENT_HEADER))
        started = time.perf_counter()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _completed(message.get("headers", ()), request_id)
            await send(message)

        try:
            if _declared_length(headers) > self._max_body_bytes:
                await error_response(PayloadTooLargeError())(scope, receive, send_with_headers)
            else:
                await self._app(scope, self._capped(receive), send_with_headers)
        except Exception:
            logger.exception("request crashed", method=scope["method"], path=scope["path"])
            if status:
                raise  # the answer has begun: breaking the connection is the only honest end
            await error_response(InternalError())(scope, receive, send_with_headers)
        finally:
            self._record(scope, status, time.perf_counter() - started)

    def _capped(self, receive: Receive) -> Receive:
        received = 0

        async def receive_capped() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_body_bytes:
                # An HTTPException: FastAPI makes a 400 of anything else that breaks off its reading of a body.
                raise HTTPException(PayloadTooLargeError.status)
            return message

        return receive_capped

    @staticmethod
    def _record(scope: Scope, status: int, seconds: float) -> None:
        # The template, not the path: ids in a label would grow without bound.
        route = getattr(scope.get("route"), "path", "unmatched")
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        answered, took = _meters(method, route, status)
        answered.inc()
        took.observe(seconds)
        if route not in _QUIET:
            logger.info("request", method=method, route=route, status=status, milliseconds=round(seconds * 1000, 1))


def _completed(headers: Iterable[tuple[bytes, bytes]], request_id: str) -> list[tuple[bytes, bytes]]:
    completed = [header for header in headers if header[0] != _ID_NAME]
    given = {name for name, _ in completed}
    completed.append((_ID_NAME, request_id.encode()))
    completed += [header for header in _DEFAULTS if header[0] not in given]
    return completed


@lru_cache(maxsize=1024)
def _meters(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    # Looking these two up takes longer than counting does.
    return REQUESTS.labels(method, route, status), SECONDS.labels(method, route)


def _declared_length(headers: Headers) -> int:
    declared = headers.get("content-length", "0")
    return int(declared) if declared.isascii() and declared.isdigit() and len(declared) < 20 else 0


def add_middleware(app: FastAPI, *, max_body_bytes: int) -> None:
    """Put the middleware of every service round ``app``."""
    options: dict[str, Any] = {"max_body_bytes": max_body_bytes}
    app.add_middleware(RequestMiddleware, **options)
