"""Answers whose pictures are written straight into the JSON."""

import json
from datetime import UTC, datetime

from common.schemas import ReadModel, Timestamp
from image_service.answers import PictureMarks


class Postcard(ReadModel):
    written_at: Timestamp
    front: str


async def test_fields_are_written_as_their_model_says() -> None:
    marks = PictureMarks()
    postcard = Postcard(written_at=datetime(2025, 7, 1, 14, 30, tzinfo=UTC), front=marks.next())

    response = marks.response(postcard, [b"png"], {})

    body = b"".join([bytes(piece) async for piece in response.body_iterator])  # type: ignore[attr-defined]
    assert int(response.headers["content-length"]) == len(body)
    assert json.loads(body) == {
        "success": True,
        "data": {"writtenAt": "2025-07-01T14:30:00.000Z", "front": "data:image/png;base64,cG5n"},
    }
