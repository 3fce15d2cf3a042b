"""Reports: kept with the picture as it was, whatever becomes of it."""

import asyncio
import shutil
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from common.clock import utc_now
from common.mongo import Database, Document
from common.testing import user_headers
from image_service.storage import is_file
from image_service.store.reports import ReportStore
from image_service.testing import World

Start = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]
OTHER = "76543210fedcba9876543210"


async def draw(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    order = {"prompt": "a red fox", "negativePrompt": "a dog", "responseFormat": "url"}
    response = await client.post("/api/image/generate", json=order | body)
    data: dict[str, Any] = response.json()["data"]
    return data


async def report(client: httpx.AsyncClient, image_id: str, reason: str = "violent", **body: Any) -> httpx.Response:
    return await client.post(f"/api/image/{image_id}/report", json={"reason": reason} | body)


async def stored_reports(database: Database) -> list[Document]:
    return await database["reports"].find({}).to_list(None)


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def assert_not_found(response: httpx.Response) -> None:
    assert (response.status_code, response.json()["code"]) == (404, "image_not_found")
    assert response.json()["message"] == "This picture does not exist."


async def test_a_report_is_kept_with_the_picture(client: httpx.AsyncClient, database: Database, uploads: Path) -> None:
    drawn = await draw(client, seed=7)
    [image] = drawn["images"]
    content = (uploads / image["imageUrl"].rpartition("/")[2]).read_bytes()
    response = await report(client, image["id"].upper(), "  a real person ", note=" my neighbour ")
    assert response.status_code == 202
    data = response.json()["data"]
    assert data == {
        "id": data["id"], "imageId": image["id"], "reason": "a real person", "status": "received",
        "createdAt": data["createdAt"],
    }  # fmt: skip
    assert (await client.delete(f"/api/image/{image['id']}")).status_code == 200
    [kept] = await stored_reports(database)
    assert (kept["_id"], kept["note"], "keep_at" in kept) == (data["id"], "my neighbour", False)
    assert (kept["snapshot"]["prompt"], kept["snapshot"]["negative_prompt"]) == ("a red fox", "a dog")
    assert (kept["snapshot"]["seed"], kept["snapshot"]["generation_id"]) == (7, drawn["generationId"])
    assert names_in(uploads) == {kept["file"]}
    assert (uploads / kept["file"]).read_bytes() == content
    assert (await client.get(f"/uploads/{kept['file']}")).status_code == 404
    assert not is_file(kept["file"])


async def test_the_same_report_again_is_the_same(client: httpx.AsyncClient, database: Database) -> None:
    [image] = (await draw(client))["images"]
    answers = await asyncio.gather(*(report(client, image["id"], note=str(number)) for number in range(5)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({str(answer.json()["data"]) for answer in answers}) == 1
    other = await report(client, image["id"], "hateful")
    assert other.json()["data"]["id"] != answers[0].json()["data"]["id"]
    assert len(await stored_reports(database)) == 2


async def test_pictures_that_are_not_there(client: httpx.AsyncClient, database: Database) -> None:
    [image] = (await draw(client))["images"]
    body = {"reason": "violent"}
    assert_not_found(await client.post(f"/api/image/{image['id']}/report", json=body, headers=user_headers(OTHER)))
    for image_id in ("0" * 24, "x", "%00", "..%2e"):
        assert_not_found(await report(client, image_id))
    await client.delete(f"/api/image/{image['id']}")
    assert_not_found(await report(client, image["id"]))
    assert await stored_reports(database) == []
    assert (await client.get(f"/api/image/{image['id']}/report")).status_code == 405


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("reason", None), ("reason", ""), ("reason", "  "), ("reason", "x" * 101), ("reason", 1), ("reason", ["x"]),
        ("reason", "a\nb"), ("reason", "a\x00b"), ("note", "x" * 1001), ("note", 1), ("note", "\x00"),
    ],
)  # fmt: skip
async def test_a_report_that_is_none(client: httpx.AsyncClient, field: str, value: object) -> None:
    [image] = (await draw(client))["images"]
    response = await client.post(f"/api/image/{image['id']}/report", json={"reason": "x", field: value})
    assert (response.status_code, response.json()["details"][0]["field"]) == (422, field)


async def test_a_day_has_so_many(start: Start, world: World, database: Database) -> None:
    async with start(reports_a_day=2) as client:
        [image] = (await draw(client))["images"]
        for reason in ("a", "b", "a", "b"):
            assert (await report(client, image["id"], reason)).status_code == 202
        refused = await report(client, image["id"], "c")
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_reports")
        assert 86_000 < int(refused.headers["retry-after"]) <= 86_400
        assert (await report(client, image["id"], "b")).status_code == 202


async def test_a_copy_that_could_not_be_made_is_made_before_the_picture_goes(
    start: Start, database: Database, uploads: Path
) -> None:
    async with start(recovery_interval_seconds=3600) as client:
        [image] = (await draw(client))["images"]
        file = uploads / image["imageUrl"].rpartition("/")[2]
        content = file.read_bytes()
        file.unlink()
        file.mkdir()  # which cannot be read
        assert (await report(client, image["id"])).status_code == 202
        assert (await client.delete(f"/api/image/{image['id']}")).status_code == 200
        [kept] = await stored_reports(database)
        assert "keep_at" in kept
        shutil.rmtree(file)
        file.write_bytes(content)
        await database["images"].update_one({"_id": image["id"]}, {"$set": {"purge_at": utc_now()}})
    async with start(recovery_interval_seconds=0.05):
        deadline = asyncio.get_running_loop().time() + 10
        while names_in(uploads) != {kept["file"]}:
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.02)
    assert (uploads / kept["file"]).read_bytes() == content


async def test_a_picture_deleted_while_it_is_reported(
    client: httpx.AsyncClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    [image] = (await draw(client))["images"]
    add = ReportStore.add

    async def delete_then_add(store: ReportStore, *arguments: Any, **named: Any) -> bool:
        assert (await client.delete(f"/api/image/{image['id']}")).status_code == 200
        return await add(store, *arguments, **named)

    monkeypatch.setattr(ReportStore, "add", delete_then_add)
    assert_not_found(await report(client, image["id"]))
    assert await stored_reports(database) == []
