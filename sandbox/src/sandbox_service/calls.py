"""What the vendors were asked, for tests to read."""

import contextlib
import json
from collections import deque
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

from pydantic import BaseModel
from starlette.types import Scope

from common.clock import format_timestamp, utc_now
from sandbox_service.multipart import is_multipart, parse_multipart

MAX_CALLS = 2000
MAX_BODY_BYTES = 8192
"""Longer bodies are kept as the text of their beginning."""

_SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})
_SECRET_FIELDS = frozenset({"assertion", "client_secret", "refresh_token"})
_MASK = "***"


class Call(BaseModel):
    """One request that a vendor received."""

    vendor: str
    operation: str
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    at: str


class CallLog:
    """The newest ``MAX_CALLS`` calls, newest last."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque(maxlen=MAX_CALLS)

    def add(self, vendor: str, operation: str, scope: Scope, body: bytes) -> None:
        headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        self._calls.append(
            Call(
                vendor=vendor,
                operation=operation,
                method=scope["method"],
                path=scope["path"],
                query=_masked(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
                headers={name: _mask_header(name, value) for name, value in headers},
                body=_readable(body, dict(headers).get("content-type", "")),
                at=format_timestamp(utc_now()),
            )
        )

    def find(self, vendor: str | None = None) -> list[Call]:
        return [call for call in self._calls if vendor is None or call.vendor == vendor]

    def clear(self) -> None:
        self._calls.clear()


def _mask_header(name: str, value: str) -> str:
    """``Bearer sk_test_51Habc`` becomes ``Bearer ***``: that it was sent, and how, not what."""
    if name not in _SECRET_HEADERS:
        return value
    scheme, _, secret = value.partition(" ")
    return f"{scheme} {_MASK}" if secret else _MASK


def _masked(fields: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    return {name: _MASK if name in _SECRET_FIELDS else value for name, value in fields}


def _readable(body: bytes, content_type: str) -> Any:
    """JSON and forms as objects, everything else (and what is too long) as text; ``None`` for no body."""
    if not body:
        return None
    if "x-www-form-urlencoded" in content_type:
        return _masked(parse_qsl(body[:MAX_BODY_BYTES].decode("utf-8", "replace"), keep_blank_values=True))
    if is_multipart(content_type) and len(body) <= MAX_BODY_BYTES:
        with contextlib.suppress(ValueError):
            parts = parse_multipart(body, content_type)
            return _masked((part.name, part.content.decode("utf-8", "replace")) for part in parts)
    if len(body) <= MAX_BODY_BYTES:
        try:
            return json.loads(body, parse_constant=str)
        except (ValueError, RecursionError):
            return body.decode("utf-8", "replace")
    return body[:MAX_BODY_BYTES].decode("utf-8", "replace") + "…"
