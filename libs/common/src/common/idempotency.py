"""Idempotency keys: the same user, key and body are the same request."""

import hashlib
import json
from collections.abc import Collection
from typing import Annotated

from fastapi import Depends, Header, Request
from pydantic import BaseModel, Field

from common.errors import ValidationFailedError

IDEMPOTENCY_KEY_HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotent-Replayed"

_PATTERN = r"^[\x21-\x7e]{1,255}$"

IdempotencyKey = Annotated[str, Field(pattern=_PATTERN)]
"""1…255 visible ASCII characters; the body's ``idempotencyKey`` has this type."""


async def idempotency_key_header(
    request: Request,
    _: Annotated[
        str | None, Header(alias=IDEMPOTENCY_KEY_HEADER, description="Makes a repeat of the request harmless")
    ] = None,
) -> str | None:
    """Read the ``Idempotency-Key`` header; the second parameter is only for the OpenAPI schema."""
    values = request.headers.getlist(IDEMPOTENCY_KEY_HEADER)
    if not values:
        return None
    key = values[0]
    if len(values) > 1 or not 1 <= len(key) <= 255 or any(not "\x21" <= character <= "\x7e" for character in key):
        raise ValidationFailedError.of(IDEMPOTENCY_KEY_HEADER, "must be 1 to 255 visible ASCII characters, once")
    return key


IdempotencyKeyDep = Annotated[str | None, Depends(idempotency_key_header)]


def chosen_key(header: str | None, field: str | None) -> str | None:
    """Return the request's key, whether it came as the header, as the body's ``idempotencyKey``, or as both alike."""
    if header is not None and field is not None and header != field:
        raise ValidationFailedError.of("idempotencyKey", "differs from the Idempotency-Key header")
    return header if header is not None else field


def fingerprint(operation: str, body: BaseModel, *, without: Collection[str] = ()) -> str:
    """Hash what a request asks for: the operation and the validated body without its key, and ``without`` others."""
    content = body.model_dump(mode="json", exclude={"idempotency_key", *without})
    canonical = json.dumps([operation, content], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
