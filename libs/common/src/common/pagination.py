"""Lists on the wire: pages for people, cursors for stability."""

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query
from pydantic import BeforeValidator

from common.errors import ValidationFailedError
from common.schemas import ReadModel

MAX_PAGE = 1_000_000_000
MAX_LIMIT = 100
MAX_CURSOR_CHARACTERS = 512


@dataclass(frozen=True, slots=True)
class PageQuery:
    """Which part of a list is asked for; with a ``cursor`` the page is only repeated in the answer."""

    page: int = 1
    limit: int = 10
    cursor: str | None = None

    @property
    def skip(self) -> int:
        """Items before the page; none with a cursor."""
        return 0 if self.cursor is not None else (self.page - 1) * self.limit


def _plain_digits(value: object) -> object:
    # Python would take "1.0", "+1" and "1_0" for numbers as well.
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]+", value) is None:
        raise ValueError("must be a whole number")
    return value


async def page_query(
    page: Annotated[int, BeforeValidator(_plain_digits), Query(ge=1, le=MAX_PAGE)] = 1,
    limit: Annotated[int, BeforeValidator(_plain_digits), Query(ge=1, le=MAX_LIMIT)] = 10,
    cursor: Annotated[
        str | None, Query(max_length=MAX_CURSOR_CHARACTERS, description="`nextCursor` of the answer before")
    ] = None,
) -> PageQuery:
    """Read ``page``, ``limit`` and ``cursor``."""
    return PageQuery(page, limit, cursor)


PageQueryDep = Annotated[PageQuery, Depends(page_query)]


class Pagination(ReadModel):
    """Where an answer stands in its list."""

    page: int
    limit: int
    total: int
    total_pages: int
    has_next: bool
    next_cursor: str | None

    @classmethod
    def of(cls, query: PageQuery, *, total: int, has_next: bool, next_cursor: str | None) -> "Pagination":
        """Describe one page; ``has_next`` is best learnt by reading one item more than ``limit``."""
        return cls(
            page=query.page,
            limit=query.limit,
            total=total,
            total_pages=-(-total // query.limit),
            has_next=has_next,
            next_cursor=next_cursor if has_next else None,
        )


def encode_cursor(*parts: int | str) -> str:
    """Make an opaque cursor of the sort key of a page's last item."""
    return base64.urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, *types: type) -> list[int | str]:
    """Read a cursor back.

    Args:
        cursor: As it came from the client.
        types: What its parts must be, ``int`` or ``str``.

    Raises:
        ValidationFailedError: It is not one of ours.
    """
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        parts = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError) as error:
        raise ValidationFailedError.of("cursor", "is not a cursor of this list") from error
    if not isinstance(parts, list) or [type(part) for part in parts] != list(types):
        raise ValidationFailedError.of("cursor", "is not a cursor of this list")
    if any(isinstance(part, int) and abs(part) >= 2**63 for part in parts):
        raise ValidationFailedError.of("cursor", "is not a cursor of this list")
    return parts
