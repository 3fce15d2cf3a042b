"""Lists and single pictures; everything of one user, nothing of another."""

import base64
import io
from datetime import timedelta
from pathlib import Path
from typing import Any

import blurhash
import httpx
from PIL import Image as Pillow

from common.clock import utc_now
from common.mongo import Database
from common.pagination import encode_cursor
from common.testing import user_headers
from image_service.marks import DIGITAL_SOURCE_TYPE
from image_service.store.images import ImageStore
from image_service.testing import some_image

OTHER = "76543210fedcba9876543210"
LISTED = {
    "id", "imageUrl", "thumbnailUrl", "blurhash", "prompt", "stylePreset", "width", "height", "steps", "cfgScale",
    "seed", "coinsUsed", "createdAt",
}  # fmt: skip


def assert_not_found(response: httpx.Response) -> None:
    assert (response.status_code, response.json()["code"]) == (404, "image_not_found")
    assert response.json()["message"] == "This picture does not exist."


async def draw(client: httpx.AsyncClient, **body: Any) -> list[dict[str, Any]]:
    response = await client.post("/api/image/generate", json={"prompt": "a red fox"} | body)
    images: list[dict[str, Any]] = response.json()["data"]["images"]
    return images


async def test_history_shows_what_was_ordered_without_bytes(client: httpx.AsyncClient) -> None:
    drawn = (await draw(client, stylePreset="anime", width=896, height=1152, steps=20, cfgScale=5.5, seed=9))[0]
    response = await client.get("/api/image/history?page=1&limit=10")
    data = response.json()["data"]
    assert data["pagination"] == {
        "page": 1, "limit": 10, "total": 1, "totalPages": 1, "hasNext": False, "nextCursor": None,
    }  # fmt: skip
    assert set(data["images"][0]) == LISTED
    assert data["images"][0] == {key: value for key, value in drawn.items() if key != "imageData"} | {
        "stylePreset": "anime", "width": 896, "height": 1152, "steps": 20, "cfgScale": 5.5, "coinsUsed": 10,
    }  # fmt: skip
    assert "base64" not in response.text


async def test_a_picture_has_a_thumbnail_and_a_blurhash(client: httpx.AsyncClient) -> None:
    drawn = (await draw(client, width=1344, height=768))[0]
    assert blurhash.components(drawn["blurhash"]) == (4, 3)
    response = await client.get(drawn["thumbnailUrl"].removeprefix("http://localhost:5000"))
    assert (response.status_code, response.headers["content-type"]) == (200, "image/webp")
    with Pillow.open(io.BytesIO(response.content)) as thumbnail:
        assert thumbnail.size == (256, 146)
        assert DIGITAL_SOURCE_TYPE in thumbnail.info["xmp"].decode()
    shown = (await client.get(f"/api/image/{drawn['id']}")).json()["data"]["image"]
    listed = (await client.get("/api/image/history")).json()["data"]["images"][0]
    for field in ("thumbnailUrl", "blurhash"):
        assert drawn[field] == shown[field] == listed[field]


async def test_a_picture_from_before_there_were_thumbnails(
    client: httpx.AsyncClient, database: Database, user_id: str
) -> None:
    document = some_image(user_id).model_dump(exclude={"thumbnail", "blurhash"})
    await database["images"].insert_one({**document, "_id": document.pop("id"), "deleted": False})
    [listed] = (await client.get("/api/image/history")).json()["data"]["images"]
    assert (listed["thumbnailUrl"], listed["blurhash"]) == (None, None)


async def test_one_picture(client: httpx.AsyncClient) -> None:
    drawn = (await draw(client))[0]
    shown = (await client.get(f"/api/image/{drawn['id']}")).json()["data"]["image"]
    assert set(shown) == LISTED | {"generationId", "imageData"}
    assert shown["imageData"] is None
    whole = (await client.get(f"/api/image/{drawn['id'].upper()}?include=imageData")).json()["data"]["image"]
    assert whole == shown | {"imageData": drawn["imageData"]}
    response = await client.get(f"/api/image/{drawn['id']}?include=everything")
    assert (response.status_code, response.json()["details"][0]["field"]) == (422, "include")


async def test_pages_are_newest_first_and_end(client: httpx.AsyncClient, database: Database, user_id: str) -> None:
    images = [some_image(user_id, created_at=utc_now() + timedelta(seconds=n)) for n in range(25)]
    await ImageStore(database).add_all([*images, some_image(OTHER)])
    seen = []
    for page, has_next in ((1, True), (2, True), (3, False), (4, False), (1_000_000_000, False)):
        data = (await client.get(f"/api/image/history?page={page}&limit=10")).json()["data"]
        seen += [image["id"] for image in data["images"]]
        assert data["pagination"]["hasNext"] is has_next
        assert (data["pagination"]["total"], data["pagination"]["totalPages"]) == (25, 3)
    assert seen == [image.id for image in reversed(images)]


async def test_a_cursor_neither_repeats_nor_skips_while_pictures_come_and_go(
    client: httpx.AsyncClient, database: Database, user_id: str
) -> None:
    store = ImageStore(database)
    moment = utc_now()
    images = [some_image(user_id, created_at=moment + timedelta(milliseconds=n // 5)) for n in range(23)]
    await store.add_all(images)
    seen: list[str] = []
    cursor: str | None = None
    while True:
        query = {"limit": "4"} | ({"cursor": cursor} if cursor else {})
        data = (await client.get("/api/image/history", params=query)).json()["data"]
        seen += [image["id"] for image in data["images"]]
        cursor = data["pagination"]["nextCursor"]
        if cursor is None:
            break
        await store.add_all([some_image(user_id, created_at=moment + timedelta(seconds=9))])
        await client.delete(f"/api/image/{seen[0]}")
    expected = sorted(images, key=lambda image: (image.created_at, image.id), reverse=True)
    assert seen == [image.id for image in expected]


async def test_a_cursor_that_is_none(client: httpx.AsyncClient) -> None:
    for cursor in [
        "x",
        "",
        "%00",
        "W10",
        encode_cursor(1, 2),
        encode_cursor("a", "b"),
        encode_cursor(2**62, "a"),
        "A" * 513,
    ]:
        response = await client.get(f"/api/image/history?cursor={cursor}")
        assert (response.status_code, response.json()["details"][0]["field"]) == (422, "cursor")


async def test_a_page_that_is_none(client: httpx.AsyncClient) -> None:
    for query in ["page=0", "limit=0", "limit=101", "page=x", "limit=1e2"]:
        assert (await client.get(f"/api/image/history?{query}")).status_code == 422


async def test_nobody_lists_anothers_pictures(client: httpx.AsyncClient, database: Database) -> None:
    await ImageStore(database).add_all([some_image(OTHER)])
    for query in [f"userId={OTHER}", "userId[$ne]=x", f"user_id={OTHER}", "deleted=true"]:
        assert (await client.get(f"/api/image/history?{query}")).json()["data"]["images"] == []


async def test_anothers_picture_does_not_exist(client: httpx.AsyncClient) -> None:
    drawn = (await draw(client))[0]
    headers = user_headers(OTHER)
    for query in ("", "?include=imageData"):
        assert_not_found(await client.get(f"/api/image/{drawn['id']}{query}", headers=headers))
    assert_not_found(await client.delete(f"/api/image/{drawn['id']}", headers=headers))
    assert (await client.get(f"/api/image/{drawn['id']}")).status_code == 200


async def test_ids_that_are_none(client: httpx.AsyncClient) -> None:
    for image_id in [
        "0" * 24,
        "x",
        "0" * 23,
        "0" * 25,
        "%00",
        "%ff%fe",
        "..%2e",
        "{$ne:1}",
        "0" * 12,
        "%F0%9F%A6%8A",
        "a" * 5000,
        "null",
    ]:
        assert_not_found(await client.get(f"/api/image/{image_id}"))
        assert_not_found(await client.delete(f"/api/image/{image_id}"))


async def test_a_late_repeat_of_the_insert_changes_nothing(database: Database, user_id: str) -> None:
    store = ImageStore(database)
    image = some_image(user_id)
    await store.add_all([image])
    await store.add_all([image])
    assert await store.total(user_id) == 1
    deleted = await store.delete(user_id, image.id, retry_seconds=60)
    assert deleted is not None
    assert deleted.files == [image.file]
    await store.add_all([image])
    assert await store.total(user_id) == 0
    assert await store.find(user_id, image.id) is None


async def test_base64_of_every_length_is_right(client: httpx.AsyncClient, database: Database, uploads: Path) -> None:
    drawn = (await draw(client))[0]
    file = uploads / drawn["imageUrl"].rpartition("/")[2]
    for length in (0, 1, 2, 3, 196_607, 196_608, 196_609):
        file.write_bytes(bytes(length))
        whole = await client.get(f"/api/image/{drawn['id']}?include=imageData")
        data = whole.json()["data"]["image"]["imageData"].removeprefix("data:image/png;base64,")
        assert base64.b64decode(data, validate=True) == bytes(length)
        assert int(whole.headers["content-length"]) == len(whole.content)
