"""Answers that carry pictures: JSON with megabytes in it, and files."""

import base64
import re
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from http import HTTPStatus

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from common.schemas import ReadModel
from image_service.errors import RangeNotSatisfiableError
from image_service.storage import CACHE_CONTROL, StoredFile, content_type, stem

DATA_PREFIX = "data:image/png;base64,"

PIECE_BYTES = 3 * 64 * 1024
"""A multiple of three, so that the pieces' base64 can stand in a row."""

_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")


class PictureMarks:
    """Stand in an answer's model for pictures, until their base64 is written straight into the JSON.

    Otherwise every picture would be in memory several times: as base64, in the model, in the text and in its bytes.
    """

    def __init__(self) -> None:
        self._mark = secrets.token_hex(16)

    def next(self) -> str:
        """Return what to write in place of one picture's data."""
        return self._mark

    def response(self, data: ReadModel, pictures: Sequence[bytes], headers: Mapping[str, str]) -> Response:
        """Answer with ``data`` in the success envelope, its marks replaced by ``pictures`` in their order."""
        # Not ``serialize_as_any``: it would go by the values' own types and lose how the fields want to be written.
        text = f'{{"success":true,"data":{data.model_dump_json(by_alias=True)}}}'
        pieces = [piece.encode() for piece in text.split(self._mark)]
        length = sum(map(len, pieces)) + sum(len(DATA_PREFIX) + -(-len(png) // 3) * 4 for png in pictures)
        return StreamingResponse(
            _woven(pieces, pictures),
            media_type="application/json",
            headers={**headers, "Content-Length": str(length)},
        )


async def _woven(pieces: Sequence[bytes], pictures: Sequence[bytes]) -> AsyncIterator[bytes]:
    yield pieces[0]
    for png, piece in zip(pictures, pieces[1:], strict=True):
        yield DATA_PREFIX.encode()
        view = memoryview(png)
        for start in range(0, len(view), PIECE_BYTES):
            yield base64.b64encode(view[start : start + PIECE_BYTES])
        yield piece


async def file_response(request: Request, name: str, stored: StoredFile) -> Response:
    """Answer with a stored file: whole, one range of it (RFC 9110, section 14), or nothing if the client has it.

    Raises:
        RangeNotSatisfiableError: The range asked for is behind its end.
        StorageUnavailableError: It cannot be read; before anything is answered.
    """
    etag = f'"{stem(name)}"'
    headers = {
        "ETag": etag,
        "Cache-Control": CACHE_CONTROL,
        "Accept-Ranges": "bytes",
        "Content-Disposition": "inline",
        "Content-Type": content_type(name),
    }
    if _matches(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    start, stop, status = 0, stored.size, HTTPStatus.OK
    wanted = _range(request, etag, stored.size)
    if wanted is not None:
        start, stop = wanted
        if start >= stop:
            raise RangeNotSatisfiableError(headers={"Content-Range": f"bytes */{stored.size}"})
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{stored.size}"
        status = HTTPStatus.PARTIAL_CONTENT
    headers["Content-Length"] = str(stop - start)
    if request.method == "HEAD" or start == stop:
        return Response(status_code=status, headers=headers)
    # A status cannot be taken back: the file is opened, and read from, before one is sent.
    chunks = stored.chunks(start, stop)
    first = await anext(chunks)
    return StreamingResponse(_beginning(first, chunks), status_code=status, headers=headers)


async def _beginning(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk


def _matches(candidates: str, etag: str) -> bool:
    return any(candidate.strip().removeprefix("W/") in (etag, "*") for candidate in candidates.split(","))


def _range(request: Request, etag: str, size: int) -> tuple[int, int] | None:
    """Return the one range asked for, empty if behind the end; of several none is served, as RFC 9110 allows.

    Only ``GET`` has ranges (RFC 9110, section 14.2): ``HEAD`` tells of the whole file.
    """
    if request.method != "GET":
        return None
    match = _RANGE.fullmatch(request.headers.get("range", "").strip().replace(" ", ""))
    if match is None or request.headers.get("if-range", etag) != etag:
        return None
    first, last = match.groups()
    if not first:
        return None if not last else (max(0, size - int(last)), size)
    start, stop = int(first), min(int(last) + 1, size) if last else size
    if last and int(last) < start:
        return None
    return start, stop
