"""Every query of the service goes by an index, and none sorts in memory: asked of the database's own profiler."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx

from common.clock import utc_now
from common.mongo import Database, Document, new_id
from common.pagination import PageQuery
from image_service.store.images import ImageStore
from image_service.store.reports import ReportStore
from image_service.testing import World, some_image

Start = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]
DAY = timedelta(days=1)


@asynccontextmanager
async def profiled(database: Database) -> AsyncIterator[list[Document]]:
    """Collect what the database looked at during the block."""
    entries: list[Document] = []
    await database.command("profile", 2)
    yield entries
    await database.command("profile", 0)
    async for entry in database["system.profile"].find({"ns": {"$ne": f"{database.name}.system.profile"}}):
        if "planSummary" in entry:
            entries.append(entry)


def assert_by_index(entries: list[Document]) -> None:
    for entry in entries:
        told = f"{entry['planSummary']}: {entry['ns']} {entry.get('command')}"
        assert "COLLSCAN" not in entry["planSummary"], told
        assert not entry.get("hasSortStage"), told


async def until_looked_for(database: Database, field: str) -> None:
    """Wait for the work in the background."""
    deadline = asyncio.get_running_loop().time() + 10
    while await database["system.profile"].count_documents({f"command.query.{field}": {"$exists": True}}) < 2:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.02)


async def test_all_that_a_user_can_ask(start: Start, world: World, database: Database) -> None:
    async with start(recovery_interval_seconds=0.05) as client, profiled(database) as entries:
        headers = {"Idempotency-Key": "k"}
        order: dict[str, Any] = {"prompt": "a fox", "samples": 2, "responseFormat": "url"}
        for _ in range(2):
            response = await client.post("/api/image/generate", json=order, headers=headers)
        await client.post("/api/image/generate", json=order)
        world.subscription.active = True
        await client.post("/api/image/generate", json=order)
        first, second = response.json()["data"]["images"]
        cursor = (await client.get("/api/image/history?limit=1")).json()["data"]["pagination"]["nextCursor"]
        await client.get("/api/image/history", params={"cursor": cursor})
        await client.get(f"/api/image/{first['id']}?include=imageData")
        await client.post(f"/api/image/{first['id']}/report", json={"reason": "violent"})
        for image in (first, second):
            assert (await client.delete(f"/api/image/{image['id']}")).status_code == 200
        await until_looked_for(database, "purge_at")
        await until_looked_for(database, "keep_at")
    looked_at = {entry["ns"].rpartition(".")[2] for entry in entries}
    assert {"generations", "images", "albums", "reports"} <= looked_at
    assert_by_index(entries)


async def test_reviews(database: Database, user_id: str) -> None:
    store = ReportStore(database)
    await store.ensure_indexes()
    async with profiled(database) as entries:
        await store.times_since(user_id, utc_now() - DAY, limit=10)
        await store.find_unkept(new_id(), limit=10)
        await store.claim_unkept(retry_seconds=60)
        await store.list_reports(None, limit=10)
        await store.list_reports("received", limit=10)
        await store.set_kept(new_id(), None)
        await store.withdraw(new_id())
        await store.close(new_id(), decision="none", actor="nobody")
        await store.forget_file(new_id())
    assert len(entries) >= 9
    assert_by_index(entries)


async def test_a_page_looks_at_no_more_than_it_shows(database: Database, user_id: str) -> None:
    """Whether a user has ten pictures or a million: the first page, and every page by cursor."""
    store = ImageStore(database)
    await store.ensure_indexes()
    await store.add_all([some_image(user_id, created_at=utc_now() + timedelta(seconds=n)) for n in range(200)])
    async with profiled(database) as entries:
        assert await store.total(user_id) == 200
        cursor = None
        for _ in range(10):
            _, cursor = await store.page(user_id, PageQuery(limit=10, cursor=cursor))
    assert len(entries) == 12
    assert_by_index(entries)
    assert max(entry["docsExamined"] for entry in entries) <= 12
    assert max(entry["keysExamined"] for entry in entries) <= 12
