"""Shapes on the wire: camelCase, the success envelope, times, ids and coins."""

import re
import unicodedata
from datetime import datetime
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, StringConstraints, WithJsonSchema
from pydantic.alias_generators import to_camel

from common.clock import format_timestamp

MAX_COINS = 1_000_000
MAX_NAME_CHARACTERS = 100

DataT = TypeVar("DataT")


class ReadModel(BaseModel):
    """An answer, or a part of one: camelCase on the wire, snake_case in Python."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")


class RequestModel(ReadModel):
    """A request's body: real types only (``"10"`` and ``1.0`` are not 10), unknown fields ignored."""

    model_config = ConfigDict(strict=True)


class Envelope(BaseModel, Generic[DataT]):
    """Every success."""

    success: Literal[True] = True
    data: DataT


def ok(data: DataT) -> Envelope[DataT]:
    """Wrap ``data`` in the success envelope."""
    return Envelope(data=data)


Timestamp = Annotated[
    datetime,
    PlainSerializer(format_timestamp, return_type=str, when_used="json-unless-none"),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2025-07-01T14:30:00.000Z"]}),
]
"""An aware time; ISO-8601 UTC with milliseconds and ``Z`` on the wire."""

ObjectIdStr = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{24}$")]
"""An id on the wire."""

_OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}")


def is_object_id(candidate: str) -> bool:
    """Whether ``candidate`` is an id: 24 hex digits; people who type them mind no case."""
    return _OBJECT_ID.fullmatch(candidate) is not None


Coins = Annotated[int, Field(strict=True, ge=1, le=MAX_COINS)]
"""Coins of one operation: whole, 1 … 1,000,000."""


def _storable(text: str) -> str:
    # A lone surrogate cannot be written as UTF-8, and NUL ends strings in too many places.
    if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("must not contain control characters")
    return text


Text = Annotated[str, AfterValidator(_storable)]
"""A person's text that can be stored and shown."""


def _one_line(text: str) -> str:
    trimmed = unicodedata.normalize("NFC", text).strip()
    if any(unicodedata.category(character) == "Cc" for character in trimmed):
        raise ValueError("must not contain control characters")
    if not 1 <= len(trimmed) <= MAX_NAME_CHARACTERS:
        raise ValueError(f"must be 1 to {MAX_NAME_CHARACTERS} characters")
    return trimmed


PersonName = Annotated[
    Text, AfterValidator(_one_line), WithJsonSchema({"type": "string", "examples": ["Ada Lovelace"]})
]
"""What somebody is called: one line, trimmed, 1 … 100 characters; auth and user both go by it."""
