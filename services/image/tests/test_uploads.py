"""Files as an image widget loads them, and as nobody else can."""

from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from image_service.storage.local import LocalFile, LocalStorage


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest_asyncio.fixture
async def address(client: httpx.AsyncClient) -> str:
    response = await client.post("/api/image/generate", json={"prompt": "a fox", "responseFormat": "url"})
    url: str = response.json()["data"]["images"][0]["imageUrl"]
    return url.removeprefix("http://localhost:5000")


@pytest_asyncio.fixture
async def content(uploads: Path, address: str) -> bytes:
    return (uploads / address.rpartition("/")[2]).read_bytes()


async def test_a_file_is_served_without_a_token(client: httpx.AsyncClient, address: str, content: bytes) -> None:
    response = await client.get(address, headers={"Authorization": ""})
    assert (response.status_code, response.content) == (200, content)
    assert response.headers["content-type"] == "image/png"
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert response.headers["content-disposition"] == "inline"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["accept-ranges"] == "bytes"
    assert int(response.headers["content-length"]) == len(content)
    head = await client.head(address)
    assert (head.status_code, head.content) == (200, b"")
    for header in ("content-length", "etag", "content-type", "cache-control"):
        assert head.headers[header] == response.headers[header]


async def test_who_has_it_is_told_so(client: httpx.AsyncClient, address: str) -> None:
    etag = (await client.head(address)).headers["etag"]
    for match in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        response = await client.get(address, headers={"If-None-Match": match})
        assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", etag)
    assert (await client.get(address, headers={"If-None-Match": '"other"'})).status_code == 200


async def test_ranges(client: httpx.AsyncClient, address: str, content: bytes) -> None:
    size = len(content)
    for asked, start, stop in (
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=10-", 10, size),
        ("bytes=-10", size - 10, size),
        (f"bytes=-{size * 2}", 0, size),
        ("bytes=5-999999999999", 5, size),
    ):
        response = await client.get(address, headers={"Range": asked})
        assert (response.status_code, response.content) == (206, content[start:stop])
        assert response.headers["content-range"] == f"bytes {start}-{stop - 1}/{size}"
        assert int(response.headers["content-length"]) == stop - start
    for asked in (f"bytes={size}-", "bytes=999999999999-", "bytes=-0"):
        response = await client.get(address, headers={"Range": asked})
        assert (response.status_code, response.headers["content-range"]) == (416, f"bytes */{size}")
        assert response.json()["code"] == "range_not_satisfiable"
        assert response.headers["cache-control"] == "no-store"
    ignored = (
        "bytes=5-4",
        "bytes=-",
        "items=0-1",
        "bytes=a-b",
        "bytes=" + ",".join(["0-1"] * 5000),
        "bytes=1" + "0" * 20,
    )
    for asked in ignored:
        response = await client.get(address, headers={"Range": asked})
        assert (response.status_code, response.content) == (200, content)
    etag = (await client.head(address)).headers["etag"]
    for condition, status in ((etag, 206), ('"other"', 200)):
        headers = {"Range": "bytes=0-0", "If-Range": condition}
        assert (await client.get(address, headers=headers)).status_code == status
    for asked in ("bytes=0-9", f"bytes={size}-"):  # HEAD has none
        head = await client.head(address, headers={"Range": asked})
        assert (head.status_code, int(head.headers["content-length"])) == (200, size)


async def test_a_thumbnail_has_its_own_type(client: httpx.AsyncClient, uploads: Path, address: str) -> None:
    [thumbnail] = [name for name in names_in(uploads) if name.endswith(".webp")]
    response = await client.get(f"/uploads/{thumbnail}", headers={"Authorization": ""})
    assert (response.status_code, response.headers["content-type"]) == (200, "image/webp")
    assert response.headers["etag"] != (await client.head(address)).headers["etag"]


@pytest.mark.parametrize(
    ("becomes", "status", "code"), [("gone", 404, "not_found"), ("ill", 503, "storage_unavailable")]
)
async def test_a_file_that_goes_before_its_first_byte(
    client: httpx.AsyncClient,
    uploads: Path,
    address: str,
    monkeypatch: pytest.MonkeyPatch,
    becomes: str,
    status: int,
    code: str,
) -> None:
    find = LocalStorage.find
    path = uploads / address.rpartition("/")[2]

    async def find_then_lose(storage: LocalStorage, file: str) -> LocalFile | None:
        found = await find(storage, file)
        if path.is_file():
            path.unlink()
            if becomes == "ill":
                path.mkdir()  # which cannot be read
        return found

    monkeypatch.setattr(LocalStorage, "find", find_then_lose)
    response = await client.get(address)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["cache-control"] == "no-store"


NOTHING = [
    "", "/", ".", "..", "../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e%2fsecret.png", "..%5csecret.png",
    "secret.png", "%00.png", "a" * 32, "a" * 32 + ".png", "a" * 32 + ".PNG", "a" * 32 + ".png%00",
    "a" * 32 + ".draft", "a" * 32 + ".png/", "%ff.png", "..;/secret.png", "a" * 5000 + ".png",
]  # fmt: skip


async def test_nothing_else_is_there(client: httpx.AsyncClient, uploads: Path, address: str) -> None:
    (uploads / "secret.png").write_bytes(b"secret")
    (uploads.parent / "secret.png").write_bytes(b"secret")
    (uploads / ("a" * 32 + ".draft")).write_bytes(b"secret")
    for path in NOTHING:
        response = await client.get(f"/uploads/{path}" if path != "/" else "/uploads")
        assert (response.status_code, response.json()["code"]) == (404, "not_found"), path
        assert str(uploads) not in response.text


async def test_no_other_method(client: httpx.AsyncClient, address: str, content: bytes) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        assert (await client.request(method, address)).status_code == 405
    assert (await client.get(address)).content == content
