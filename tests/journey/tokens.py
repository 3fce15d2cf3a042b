"""Look into access tokens, and make ones that are not ours."""

import base64
import json
from typing import Any


def claims_of(token: str) -> dict[str, Any]:
    """The payload of a JWT, its signature not looked at."""
    return _decoded(token.split(".")[1])


def header_of(token: str) -> dict[str, Any]:
    return _decoded(token.split(".")[0])


def encoded(part: dict[str, Any]) -> str:
    """One part of a JWT (RFC 7515, section 3)."""
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def _decoded(part: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return content
