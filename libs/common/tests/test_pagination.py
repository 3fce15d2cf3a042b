"""Cursors go out and come back; anything else is refused by name."""

import base64

import pytest

from common.errors import ValidationFailedError
from common.pagination import PageQuery, Pagination, decode_cursor, encode_cursor


def test_round_trip() -> None:
    assert decode_cursor(encode_cursor(7, "65f0"), int, str) == [7, "65f0"]
    assert decode_cursor(encode_cursor(2**63 - 1), int) == [2**63 - 1]


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "!!!!", "é", "e30", encode_cursor("a"), encode_cursor(1, 2), encode_cursor(2**63), "W1tb" * 100]
    + [base64.urlsafe_b64encode(text).decode() for text in (b"[true]", b"[1.0]", b'[{"$gt":0}]', b"[NaN]", b"null")],
)
def test_foreign_cursors_are_refused(cursor: str) -> None:
    with pytest.raises(ValidationFailedError) as error:
        decode_cursor(cursor, int)
    assert error.value.details == [{"field": "cursor", "message": "is not a cursor of this list"}]


@pytest.mark.parametrize(("total", "pages"), [(0, 0), (1, 1), (10, 1), (11, 2), (100, 10)])
def test_total_pages(total: int, pages: int) -> None:
    described = Pagination.of(PageQuery(), total=total, has_next=False, next_cursor="never shown")
    assert (described.total_pages, described.next_cursor) == (pages, None)


def test_skip() -> None:
    assert PageQuery(page=3, limit=20).skip == 40
    assert PageQuery(page=3, limit=20, cursor="c").skip == 0
