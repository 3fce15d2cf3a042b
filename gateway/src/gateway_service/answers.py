"""The gateway's own answers on the forwarding path: errors in the wire's failure body, and preflights."""

import json
from collections.abc import Iterable

from starlette.types import Send

from common.errors import ServiceError, error_body

Header = tuple[bytes, bytes]

NOSNIFF: Header = (b"x-content-type-options", b"nosniff")


def error_message(error: ServiceError, request_id: str) -> tuple[list[Header], bytes]:
    """Return the headers and the body of a failure."""
    body = json.dumps(error_body(error.code, error.message, error.details, request_id), ensure_ascii=False).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"x-request-id", request_id.encode()),
        NOSNIFF,
    ]
    headers += [(name.lower().encode(), value.encode("latin-1")) for name, value in error.headers.items()]
    return headers, body


async def send_error(send: Send, error: ServiceError, request_id: str, *, extra: Iterable[Header]) -> None:
    headers, body = error_message(error, request_id)
    await send({"type": "http.response.start", "status": int(error.status), "headers": [*headers, *extra]})
    await send({"type": "http.response.body", "body": body})


async def send_empty(send: Send, request_id: str, *, extra: Iterable[Header]) -> None:
    """Answer a preflight."""
    headers = [(b"x-request-id", request_id.encode()), NOSNIFF, *extra]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
