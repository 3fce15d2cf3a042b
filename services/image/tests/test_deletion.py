"""Deleting really deletes: files, thumbnails and prompts; at once, or as soon as somebody lets go of them."""

import asyncio
import base64
import shutil
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from common.clock import utc_now
from common.mongo import Database
from common.testing import until
from image_service.storage.local import LocalFile, LocalStorage
from image_service.testing import World

Start = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]
FOX = {"prompt": "a red fox", "negativePrompt": "a blue fox"}


def assert_not_found(response: httpx.Response) -> None:
    assert (response.status_code, response.json()["code"]) == (404, "image_not_found")


async def draw(client: httpx.AsyncClient, *, key: str | None = None, **body: Any) -> dict[str, Any]:
    headers = {} if key is None else {"Idempotency-Key": key}
    response = await client.post("/api/image/generate", json=FOX | body, headers=headers)
    assert response.status_code == 200
    data: dict[str, Any] = response.json()["data"]
    return data


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def path_of(url: str) -> str:
    return url.removeprefix("http://localhost:5000")


async def test_a_deleted_picture_is_gone_with_its_files(
    client: httpx.AsyncClient, database: Database, uploads: Path
) -> None:
    gone, kept = (await draw(client, samples=2))["images"]
    response = await client.delete(f"/api/image/{gone['id'].upper()}")
    assert (response.status_code, response.json()["data"]) == (200, {"id": gone["id"], "deleted": True})
    assert_not_found(await client.delete(f"/api/image/{gone['id']}"))
    assert_not_found(await client.get(f"/api/image/{gone['id']}"))
    for url in (gone["imageUrl"], gone["thumbnailUrl"]):
        assert (await client.get(path_of(url))).status_code == 404
    data = (await client.get("/api/image/history")).json()["data"]
    assert ([image["id"] for image in data["images"]], data["pagination"]["total"]) == ([kept["id"]], 1)
    assert names_in(uploads) == {kept[field].rpartition("/")[2] for field in ("imageUrl", "thumbnailUrl")}
    left = await database["images"].find_one({"_id": gone["id"]})
    assert left is not None
    assert not {"prompt", "negative_prompt", "purge_at"} & set(left)


async def test_of_ten_deletes_at_once_one_succeeds(client: httpx.AsyncClient) -> None:
    [drawn] = (await draw(client))["images"]
    responses = await asyncio.gather(*(client.delete(f"/api/image/{drawn['id']}") for _ in range(10)))
    assert sorted(response.status_code for response in responses) == [200] + [404] * 9


@pytest.mark.parametrize("field", ["imageUrl", "thumbnailUrl"])
async def test_a_file_that_could_not_be_deleted_is_deleted_later(
    start: Start, world: World, database: Database, uploads: Path, field: str
) -> None:
    async with start(recovery_interval_seconds=0.05) as client:
        [drawn] = (await draw(client))["images"]
        file = uploads / drawn[field].rpartition("/")[2]
        bytes_of_it = file.read_bytes()
        file.unlink()
        file.mkdir()  # which cannot be unlinked
        assert (await client.delete(f"/api/image/{drawn['id']}")).status_code == 200
        assert_not_found(await client.get(f"/api/image/{drawn['id']}"))
        shutil.rmtree(file)
        file.write_bytes(bytes_of_it)
        await database["images"].update_one({"_id": drawn["id"]}, {"$set": {"purge_at": utc_now()}})
        await until(lambda: not names_in(uploads))


async def test_an_orders_prompt_goes_with_its_last_picture(client: httpx.AsyncClient, database: Database) -> None:
    drawn = await draw(client, key="k", samples=2)
    first, second = drawn["images"]

    async def order() -> dict[str, Any]:
        document = await database["generations"].find_one({"_id": drawn["generationId"]})
        assert document is not None
        return document

    await client.delete(f"/api/image/{first['id']}")
    assert (await order())["order"]["prompt"] == "a red fox"
    await client.delete(f"/api/image/{second['id']}")
    assert "fox" not in str(await order())
    for collection in await database.list_collection_names():
        assert "fox" not in str(await database[collection].find({}).to_list(None))


async def test_an_order_is_repeated_without_what_is_deleted(client: httpx.AsyncClient, world: World) -> None:
    drawn = await draw(client, key="k", samples=2)
    first, second = drawn["images"]
    await client.delete(f"/api/image/{first['id']}")
    assert await draw(client, key="k", samples=2) == drawn | {"images": [second]}
    await client.delete(f"/api/image/{second['id']}")
    again = await draw(client, key="k", samples=2)
    assert (again["images"], again["coinsUsed"], again["generationId"]) == ([], 20, drawn["generationId"])
    assert again["applied"] == drawn["applied"] | {"negativePrompt": None}
    # And the same key with another order is still refused.
    refused = await client.post(
        "/api/image/generate", json=FOX | {"samples": 2, "prompt": "a cat"}, headers={"Idempotency-Key": "k"}
    )
    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")
    assert (world.coin.balance, len(world.engine.orders)) == (80, 1)


async def test_the_prompt_of_an_order_under_way_stays(client: httpx.AsyncClient, database: Database) -> None:
    drawn = await draw(client)
    [image] = drawn["images"]
    generations = database["generations"]
    await generations.update_one({"_id": drawn["generationId"]}, {"$set": {"open": True, "state": "stored"}})
    assert (await client.delete(f"/api/image/{image['id']}")).status_code == 200
    document = await generations.find_one({"_id": drawn["generationId"]})
    assert document is not None
    assert document["order"]["prompt"] == "a red fox"
    left = await database["images"].find_one({"_id": image["id"]})
    assert left is not None
    assert "purge_at" in left  # so that it is looked at again


async def test_pictures_deleted_while_they_are_read_do_not_exist(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = await draw(client, key="k", samples=3)
    find = LocalStorage.find
    waiting = [drawn["images"][1]["id"]]

    async def delete_then_find(storage: LocalStorage, file: str) -> LocalFile | None:
        if file == drawn["images"][1]["imageUrl"].rpartition("/")[2] and waiting:
            assert (await client.delete(f"/api/image/{waiting.pop()}")).status_code == 200
        return await find(storage, file)

    monkeypatch.setattr(LocalStorage, "find", delete_then_find)
    again = await draw(client, key="k", samples=3)
    assert not waiting
    assert again == drawn | {"images": [drawn["images"][0], drawn["images"][2]]}
    assert base64.b64decode(again["images"][1]["imageData"].partition(",")[2], validate=True)


async def test_one_picture_deleted_while_it_is_read_does_not_exist(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    [drawn] = (await draw(client))["images"]
    find = LocalStorage.find
    waiting = [drawn["id"]]

    async def delete_then_find(storage: LocalStorage, file: str) -> LocalFile | None:
        if waiting:
            assert (await client.delete(f"/api/image/{waiting.pop()}")).status_code == 200
        return await find(storage, file)

    monkeypatch.setattr(LocalStorage, "find", delete_then_find)
    assert_not_found(await client.get(f"/api/image/{drawn['id']}?include=imageData"))
