"""The sweeps in the running service."""

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import httpx

from common.mongo import Database, new_id
from image_service.storage import new_file

Start = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


def lay_down(folder: Path) -> Path:
    folder.mkdir()
    file = folder / new_file(new_id())
    file.write_bytes(b"data")
    return file


def grow_old(folder: Path) -> None:
    long_ago = time.time() - 7200
    for file in folder.iterdir():
        os.utime(file, (long_ago, long_ago))


async def test_a_running_service_removes_what_is_nobodys_and_keeps_its_pictures(
    start: Start, uploads: Path, database: Database
) -> None:
    orphan = lay_down(uploads)
    async with start(storage_sweep_seconds=0.1) as client:
        response = await client.post("/api/image/generate", json={"prompt": "a fox", "responseFormat": "url"})
        [image] = response.json()["data"]["images"]
        grow_old(uploads)
        async with asyncio.timeout(20):
            while orphan.exists():  # noqa: ASYNC110 - files tell nobody when they go
                await asyncio.sleep(0.05)
        for url in (image["imageUrl"], image["thumbnailUrl"]):
            assert (await client.get(url.removeprefix("http://localhost:5000"))).status_code == 200
        assert "image_missing_pictures 0.0" in (await client.get("/metrics")).text


async def test_its_questions_have_indexes_from_the_start(start: Start, database: Database) -> None:
    async with start():
        indexes = await database["images"].index_information()
    assert {"file_1", "missing_since_1", "lost_at_1"} <= indexes.keys()
