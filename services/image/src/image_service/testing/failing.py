"""Orders that fail, and what must then be as before."""

import shutil
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx

from common.mongo import Database
from image_service.testing import World

Start = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]
FOX = {"prompt": "a red fox in the snow", "responseFormat": "url"}


async def generate(client: httpx.AsyncClient, *, key: str | None = None, **body: Any) -> httpx.Response:
    """Order a picture, under a key perhaps."""
    headers = {"Idempotency-Key": key} if key else {}
    return await client.post("/api/image/generate", json=FOX | body, headers=headers)


def assert_failure(response: httpx.Response, status: int, code: str) -> None:
    """Check that an answer is this failure, in the house's shape."""
    body = response.json()
    assert (response.status_code, body["code"]) == (status, code)
    assert isinstance(body["message"], str)
    if status == 503:
        assert int(response.headers["Retry-After"]) > 0


def files_in(folder: Path) -> list[Path]:
    """Return what lies in a folder that may not be there."""
    return list(folder.iterdir()) if folder.is_dir() else []


def put_a_file_in_its_place(folder: Path) -> None:
    """Make a folder unusable."""
    shutil.rmtree(folder)
    folder.write_text("not a folder")


def put_back(folder: Path) -> None:
    """Make it usable again."""
    folder.unlink()
    folder.mkdir()


async def assert_nothing_happened(client: httpx.AsyncClient, world: World, database: Database, uploads: Path) -> None:
    """Check that no coin moved, nothing is in the history, under way or stored."""
    assert (world.coin.balance, world.coin.held, world.coin.captured) == (100, 0, {})
    assert (await client.get("/api/image/history")).json()["data"]["images"] == []
    assert await database["generations"].count_documents({"open": True}) == 0
    assert files_in(uploads) == []
