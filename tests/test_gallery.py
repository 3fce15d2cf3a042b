"""What a phone shows of pictures, and what becomes of those it no longer wants."""

import io

import blurhash
import pytest
from PIL import Image

from journey.answers import data, error, page
from journey.phone import Caller, NewPhone, Phone
from journey.pictures import HISTORY, draw, is_marked_as_generated


async def test_a_picture_comes_with_a_thumbnail_and_a_blurhash(phone: Phone, guest: Caller) -> None:
    [drawn] = (await draw(phone, width=1344, height=768))["images"]

    answer = await guest.get(drawn["thumbnailUrl"])

    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["x-content-type-options"] == "nosniff"
    with Image.open(io.BytesIO(answer.content)) as thumbnail:
        thumbnail.load()
        assert (thumbnail.format, thumbnail.size) == ("WEBP", (256, 146))
        assert is_marked_as_generated(thumbnail)
    rows = blurhash.decode(drawn["blurhash"], 8, 8)
    assert len(rows) == 8
    [listed], _ = page(await phone.get(HISTORY), "images")
    shown = data(await phone.get(f"/api/image/{drawn['id']}"))["image"]
    for field in ("thumbnailUrl", "blurhash"):
        assert drawn[field] == listed[field] == shown[field]


async def test_an_address_loads_as_widgets_load(phone: Phone, guest: Caller) -> None:
    [drawn] = (await draw(phone))["images"]
    for url, kind in ((drawn["imageUrl"], "image/png"), (drawn["thumbnailUrl"], "image/webp")):
        whole = await guest.get(url)
        assert whole.headers["content-type"] == kind
        etag = whole.headers["etag"]

        known = await guest.send("GET", url, headers={"If-None-Match": etag})
        part = await guest.send("GET", url, headers={"Range": "bytes=10-19", "If-Range": etag})

        assert (known.status_code, known.content) == (304, b"")
        assert (part.status_code, part.content) == (206, whole.content[10:20])
        assert part.headers["content-range"] == f"bytes 10-19/{len(whole.content)}"


async def test_deleting_removes_picture_and_thumbnail(phone: Phone, guest: Caller) -> None:
    kept, gone = (await draw(phone, samples=2))["images"]

    data(await phone.delete(f"/api/image/{gone['id']}"))

    for field in ("imageUrl", "thumbnailUrl"):
        error(await guest.get(gone[field]), 404)
        assert (await guest.get(kept[field])).status_code == 200
    listed, pagination = page(await phone.get(HISTORY), "images")
    assert ([image["id"] for image in listed], pagination["total"]) == ([kept["id"]], 1)


async def test_a_report_is_taken_once(phone: Phone, guest: Caller) -> None:
    [drawn] = (await draw(phone))["images"]
    path = f"/api/image/{drawn['id']}/report"
    complaint = {"reason": "a real person", "note": "This is my neighbour."}

    first = data(await phone.post(path, complaint), 202)
    again = data(await phone.post(path, complaint), 202)

    assert first == again
    assert first.keys() == {"id", "imageId", "reason", "status", "createdAt"}
    assert (first["imageId"], first["reason"], first["status"]) == (drawn["id"], "a real person", "received")
    data(await phone.delete(f"/api/image/{drawn['id']}"))
    error(await phone.post(path, complaint), 404, "image_not_found")
    error(await guest.get(drawn["imageUrl"]), 404)
    error(await guest.post(path, complaint), 401)


async def test_nobody_reports_what_they_cannot_see(new_phone: NewPhone) -> None:
    ada, bob = await new_phone(), await new_phone()
    [drawn] = (await draw(ada))["images"]

    theirs = error(await bob.post(f"/api/image/{drawn['id']}/report", {"reason": "violent"}), 404)
    unknown = error(await bob.post(f"/api/image/{'0' * 24}/report", {"reason": "violent"}), 404)

    assert {**theirs, "requestId": ""} == {**unknown, "requestId": ""}


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "x" * 101}, {"reason": "x", "note": "x" * 1001}])
async def test_a_report_needs_a_reason(phone: Phone, body: dict[str, str]) -> None:
    error(await phone.post(f"/api/image/{'0' * 24}/report", body), 422, "validation_failed")
