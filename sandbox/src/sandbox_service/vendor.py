"""One operation of a vendor's API: its route, its record, its faults, its own error bodies."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox_service.faults import Fault
from sandbox_service.state import Sandbox

MAX_BODY_BYTES = 10 * 1024 * 1024
"""More than any of these APIs takes; a longer body is answered 413."""

Handler = Callable[[Request], Awaitable[Response]]
ErrorFor = Callable[[int], Response]
"""The vendor's own body for a bare HTTP status, for faults that name nothing but that."""


class VendorError(Exception):
    """An answer of the vendor that is not a success."""

    def __init__(self, response: Response) -> None:
        super().__init__(f"HTTP {response.status_code}")
        self.response = response


class VendorRoute(Route):
    """A route that knows which operation of which vendor it is."""

    def __init__(self, vendor: str, operation: str, method: str, path: str, handler: Handler, error: ErrorFor) -> None:
        middleware = [Middleware(VendorCall, vendor=vendor, operation=operation, error=error)]
        methods = None if method == "*" else [method]
        super().__init__(path, handler, methods=methods, middleware=middleware, include_in_schema=False)
        if method == "*":
            self.methods = None
        self.vendor = vendor
        self.operation = operation


def sandbox_of(request: Request) -> Sandbox:
    sandbox: Sandbox = request.app.state.sandbox
    return sandbox


def fault_of(request: Request) -> Fault | None:
    """The fault this call took, for members that only the handler can act on (``filtered``)."""
    fault = request.scope.get("sandbox.fault")
    return fault if isinstance(fault, Fault) else None


class VendorCall:
    """Around one operation: write the call down, let a waiting fault have its way, answer in the vendor's words."""

    def __init__(self, app: ASGIApp, *, vendor: str, operation: str, error: ErrorFor) -> None:
        self._app = app
        self._vendor = vendor
        self._operation = operation
        self._error = error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sandbox: Sandbox = scope["app"].state.sandbox
        body = await _read_body(receive)
        if body is None:
            await self._error(413)(scope, receive, send)
            return
        sandbox.calls.add(self._vendor, self._operation, scope, body)
        fault = sandbox.faults.take(self._vendor, self._operation)
        if fault is None:
            await self._answer(scope, _replay(body, receive), send)
            return
        if fault.delay_ms:
            await asyncio.sleep(fault.delay_ms / 1000)
        if fault.hang:
            if not await _hang(sandbox, receive):
                return
            fault = Fault(vendor=fault.vendor, status=503)
        if fault.drop_after_bytes is not None:
            send = _Cut(send, fault.drop_after_bytes)
        if fault.status is not None or fault.body is not None:
            await self._given(fault)(scope, receive, send)
        else:
            scope["sandbox.fault"] = fault
            await self._answer(scope, _replay(body, receive), send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except VendorError as error:
            await error.response(scope, receive, send)

    def _given(self, fault: Fault) -> Response:
        status = fault.status or 200
        if fault.body is None:
            return self._error(status) if status >= 400 else Response(status_code=status)
        if isinstance(fault.body, str):
            return Response(fault.body, status_code=status, media_type="application/json")
        return JSONResponse(fault.body, status_code=status)


class _Cut:
    """A ``send`` that passes ``left`` bytes of the body on and swallows the rest.

    The head went out with the whole ``Content-Length``; the server finds the answer unfinished and closes the
    connection.
    """

    def __init__(self, send: Send, left: int) -> None:
        self._send = send
        self._left = left

    async def __call__(self, message: Message) -> None:
        if message["type"] != "http.response.body":
            await self._send(message)
            return
        part = message.get("body", b"")[: self._left]
        self._left -= len(part)
        if part:
            await self._send({"type": "http.response.body", "body": part, "more_body": True})


async def _hang(sandbox: Sandbox, receive: Receive) -> bool:
    """Wait for the caller to go (``False``) or for a reset (``True``)."""

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    left = asyncio.ensure_future(gone())
    reset = asyncio.ensure_future(sandbox.faults.wait_for_reset())
    try:
        await asyncio.wait({left, reset}, return_when=asyncio.FIRST_COMPLETED)
        return reset.done()
    finally:
        left.cancel()
        reset.cancel()


async def _read_body(receive: Receive) -> bytes | None:
    """The whole body, or ``None`` if it is longer than any vendor takes."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"".join(parts)
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY_BYTES:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def parse_json(body: bytes) -> Any:
    """JSON without ``NaN`` and infinities.

    Raises:
        ValueError: The body is not that.
    """

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not JSON")

    try:
        return json.loads(body, parse_constant=refuse)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
