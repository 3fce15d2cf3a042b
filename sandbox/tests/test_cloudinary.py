"""Cloudinary: signatures, originals kept and delivered, the list, the documented errors."""

import hashlib
import io
from typing import Any

import httpx
import pytest
from PIL import Image

from common.clock import utc_now
from sandbox_service.cloudinary.assets import MAX_BYTES, Asset, AssetBook

CLOUD = "/v1_1/pixelmint"
UPLOAD, DESTROY, LIST = f"{CLOUD}/image/upload", f"{CLOUD}/image/destroy", f"{CLOUD}/resources/image/upload"
ADMIN = ("key", "sandbox-secret")


def picture(kind: str = "PNG", shade: int = 1) -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (30, 20), (shade, 2, 3)).save(written, kind)
    return written.getvalue()


def signed(algorithm: str = "sha1", *, secret: str = "sandbox-secret", age: int = 0, **fields: str) -> dict[str, str]:
    fields = {**fields, "timestamp": str(int(utc_now().timestamp()) - age)}
    text = "&".join(sorted(f"{name}={value}".replace("&", "%26") for name, value in fields.items()))
    signature = hashlib.new(algorithm, (text + secret).encode()).hexdigest()
    return {**fields, "api_key": "key", "signature": signature}


async def upload(client: httpx.AsyncClient, data: bytes, **fields: Any) -> httpx.Response:
    return await client.post(UPLOAD, data=signed(**fields), files={"file": ("a.png", data, "image/png")})


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
@pytest.mark.parametrize(("kind", "format"), [("PNG", "png"), ("WEBP", "webp")])
async def test_a_picture_is_kept_delivered_and_destroyed(
    client: httpx.AsyncClient, algorithm: str, kind: str, format: str
) -> None:
    data = picture(kind)
    response = await upload(client, data, algorithm=algorithm, public_id="a_fox-1", overwrite="true")
    answer = response.json()
    assert response.status_code == 200, answer
    assert (answer["public_id"], answer["format"], answer["bytes"]) == ("a_fox-1", format, len(data))
    assert (answer["width"], answer["height"], answer["resource_type"]) == (30, 20, "image")
    proof = f"public_id=a_fox-1&version={answer['version']}sandbox-secret"
    assert answer["signature"] == hashlib.new(algorithm, proof.encode()).hexdigest()
    for address in (answer["secure_url"], f"/pixelmint/image/upload/a_fox-1.{format}"):
        delivered = await client.get(address)
        assert (delivered.status_code, delivered.content) == (200, data)
        assert delivered.headers["content-type"] == f"image/{format}"
        head = await client.head(address)
        assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(data)))
        part = await client.get(address, headers={"Range": "bytes=3-9"})
        assert (part.status_code, part.content) == (206, data[3:10])
        assert (await client.get(address, headers={"Range": f"bytes={len(data)}-{len(data)}"})).status_code == 416
    again = await upload(client, picture(kind, 9), algorithm=algorithm, public_id="a_fox-1")
    assert again.json()["overwritten"] is True
    kept = await upload(client, data, algorithm=algorithm, public_id="a_fox-1", overwrite="false")
    assert kept.json()["existing"] is True
    for result in ("ok", "not found"):
        gone = await client.post(DESTROY, data=signed(algorithm, public_id="a_fox-1", invalidate="true"))
        assert (gone.status_code, gone.json()) == (200, {"result": result})
    missing = await client.get(f"/pixelmint/image/upload/a_fox-1.{format}")
    assert missing.status_code == 404
    assert missing.headers["x-cld-error"].startswith("Resource not found")


async def test_a_wrong_signature_is_told_with_what_was_signed(client: httpx.AsyncClient) -> None:
    fields = signed(secret="another", public_id="a&b")
    response = await client.post(UPLOAD, data=fields, files={"file": ("a.png", picture(), "image/png")})
    expected = (
        f"Invalid Signature {fields['signature']}. String to sign - 'public_id=a%26b&timestamp={fields['timestamp']}'."
    )
    assert (response.status_code, response.json()) == (401, {"error": {"message": expected}})
    unsigned = await client.post(DESTROY, data={**signed(public_id="a"), "type": "upload"})
    assert unsigned.status_code == 401, "a field that was not signed"


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"signature": ""}, 400, "Upload preset must be specified"),
        ({"api_key": ""}, 401, "Must supply api_key"),
        ({"timestamp": "now"}, 400, "Missing required parameter - timestamp"),
    ],
)
async def test_what_a_request_must_carry(
    client: httpx.AsyncClient, fields: dict[str, str], status: int, words: str
) -> None:
    response = await client.post(DESTROY, data={**signed(public_id="a"), **fields})
    assert response.status_code == status
    assert words in response.json()["error"]["message"]


async def test_requests_grow_stale_by_the_vendors_clock(client: httpx.AsyncClient) -> None:
    assert (await client.post(DESTROY, data=signed(public_id="a", age=3500))).status_code == 200
    stale = await client.post(DESTROY, data=signed(public_id="a", age=3700))
    assert stale.status_code == 400
    assert stale.json()["error"]["message"].startswith("Stale request")
    await client.post("/_sandbox/clock", json={"advanceSeconds": 3700})
    assert (await client.post(DESTROY, data=signed(public_id="a"))).status_code == 400


async def test_what_is_no_picture_is_refused(client: httpx.AsyncClient) -> None:
    for data, words in ((b"%PDF", "Invalid image file"), (b"", "Invalid image file")):
        response = await upload(client, data, public_id="a")
        assert (response.status_code, response.json()["error"]["message"]) == (400, words)
    nothing = await client.post(UPLOAD, data=signed(public_id="a"))
    assert nothing.json()["error"]["message"] == "Missing required parameter - file"
    name = await upload(client, picture(), public_id="a b?")
    assert (name.status_code, name.json()["error"]["message"]) == (400, "public_id (a b?) is invalid")
    broken = await client.post(UPLOAD, content=b"x", headers={"Content-Type": "multipart/form-data; boundary=y"})
    assert (broken.status_code, list(broken.json())) == (400, ["error"])


async def test_the_list_goes_on_by_its_cursor(client: httpx.AsyncClient) -> None:
    for number in range(5):
        assert (await upload(client, picture(shade=number), public_id=f"p{number}")).status_code == 200
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        query = {"max_results": "2", **({"next_cursor": cursor} if cursor else {})}
        answer = (await client.get(LIST, params=query, auth=ADMIN)).json()
        found += [each["public_id"] for each in answer["resources"]]
        cursor = answer.get("next_cursor")
    assert sorted(found) == ["p0", "p1", "p2", "p3", "p4"]
    first = (await client.get(LIST, params={"prefix": "p3"}, auth=ADMIN)).json()
    assert [each["public_id"] for each in first["resources"]] == ["p3"]
    assert {"format": "png", "bytes": len(picture(shade=3)), "type": "upload"}.items() <= first["resources"][0].items()
    for auth in (None, ("key", "wrong"), ("", "sandbox-secret")):
        refused = await client.get(LIST, auth=auth) if auth else await client.get(LIST)
        assert (refused.status_code, list(refused.json())) == (401, ["error"])
    for query in ({"max_results": "501"}, {"max_results": "x"}, {"next_cursor": "gone"}):
        assert (await client.get(LIST, params=query, auth=ADMIN)).status_code == 400
    other = await client.get("/v1_1/another/resources/image", auth=ADMIN)
    assert other.json() == {"resources": []}


async def test_faults_calls_and_reset(client: httpx.AsyncClient) -> None:
    await upload(client, picture(), public_id="a")
    await client.post("/_sandbox/faults", json={"vendor": "cloudinary", "operation": "destroy", "status": 420})
    limited = await client.post(DESTROY, data=signed(public_id="a"))
    assert (limited.status_code, limited.json()["error"]["message"][:19]) == (420, "Rate Limit Exceeded")
    calls = (await client.get("/_sandbox/calls", params={"vendor": "cloudinary"})).json()["calls"]
    assert [call["operation"] for call in calls] == ["upload", "destroy"]
    await client.post("/_sandbox/reset")
    assert (await client.get("/pixelmint/image/upload/a.png")).status_code == 404


def test_no_more_is_kept_than_there_is_room_for() -> None:
    book, megabyte = AssetBook(), bytes(1024 * 1024)
    count = MAX_BYTES // len(megabyte) + 5
    for number in range(count):
        book.put(Asset("c", f"p{number}", megabyte, "png", 1, 1, utc_now()))
        assert book.find("c", "p0") is not None, "what is used is kept"
    assert len(book) == count - 5
    assert book.find("c", "p1") is None
    assert book.remove("c", "p0")
    assert not book.remove("c", "p0")
