"""How many pictures a user has: exact, whoever dies between two writes and whoever comes late."""

import asyncio
import random
from typing import Any

import pytest

from common.mongo import Database, Document, new_id
from image_service.store import albums
from image_service.store.albums import AlbumStore
from image_service.store.images import ImageStore
from image_service.testing import some_image


async def real_total(database: Database, user_id: str) -> int:
    return await database["images"].count_documents({"user_id": user_id, "deleted": False})


async def album_of(database: Database, user_id: str) -> Document:
    document = await database["albums"].find_one({"_id": user_id})
    assert document is not None
    return document


async def insert(database: Database, user_id: str, **fields: Any) -> str:
    """Insert a picture as a process that dies right after it."""
    document = some_image(user_id).model_dump()
    image_id: str = document.pop("id")
    await database["images"].insert_one({**document, "_id": image_id, "deleted": False, **fields})
    return image_id


async def test_pictures_come_and_go(database: Database, user_id: str) -> None:
    store = ImageStore(database)
    assert await store.total(user_id) == 0
    images = [some_image(user_id) for _ in range(3)]
    await store.add_all(images)
    await store.add_all(images)
    assert await store.total(user_id) == 3
    assert await store.delete(user_id, images[0].id, retry_seconds=60) is not None
    assert await store.delete(user_id, images[0].id, retry_seconds=60) is None
    await store.add_all(images)
    assert await store.total(user_id) == 2
    assert await database["images"].count_documents({"uncounted": {"$exists": True}}) == 0


async def test_pictures_from_before_there_were_albums(database: Database, user_id: str) -> None:
    store = ImageStore(database)
    old = [await insert(database, user_id) for _ in range(5)]
    await insert(database, user_id, deleted=True)
    await insert(database, new_id())
    assert await store.delete(user_id, old[0], retry_seconds=60) is not None
    assert await store.total(user_id) == 4
    await store.add_all([some_image(user_id)])
    assert await store.total(user_id) == 5


async def test_an_album_is_made_once_while_pictures_come_and_go(database: Database, user_id: str) -> None:
    old = [await insert(database, user_id) for _ in range(20)]
    stores = [ImageStore(database) for _ in range(4)]
    await asyncio.gather(
        *(store.total(user_id) for store in stores),
        *(stores[n % 4].delete(user_id, image_id, retry_seconds=60) for n, image_id in enumerate(old[:10])),
        *(store.add_all([some_image(user_id)]) for store in stores),
    )
    assert await stores[0].total(user_id) == await real_total(database, user_id) == 14


async def test_what_a_dead_process_inserted_or_deleted_is_counted_by_the_next(database: Database, user_id: str) -> None:
    store = ImageStore(database)
    await store.total(user_id)
    await insert(database, user_id, tally=["+"], uncounted=user_id)
    await insert(database, user_id, tally=["+", "-"], uncounted=user_id, deleted=True)
    assert await store.total(user_id) == 1


async def test_a_process_that_dies_before_it_takes_the_marks_off(database: Database, user_id: str) -> None:
    store = ImageStore(database)
    await store.total(user_id)
    image_id = await insert(database, user_id, tally=["+"], uncounted=user_id)
    await database["albums"].update_one(
        {"_id": user_id}, {"$set": {"counted": [f"+{image_id}"], "total": 1}, "$inc": {"version": 1}}
    )
    assert await store.total(user_id) == 1
    await store.add_all([some_image(user_id)])
    assert await store.total(user_id) == 2
    assert (await album_of(database, user_id))["counted"] != [f"+{image_id}"]


async def test_a_process_that_slept_before_it_counts_counts_nothing_twice(
    database: Database, user_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its reading of the pictures and its write, others count the same events and forget that they did."""
    store, others = ImageStore(database), AlbumStore(database)
    await insert(database, user_id, tally=["+"], uncounted=user_id)
    count = AlbumStore._count
    slept: list[bool] = []

    async def sleep_then_count(self: AlbumStore, album: albums.Album, events: set[str]) -> bool:
        if self is not others and not slept:
            slept.append(True)
            for _ in range(3):
                await others.total(user_id)
                await insert(database, user_id, tally=["+"], uncounted=user_id)
            await others.total(user_id)
        return await count(self, album, events)

    monkeypatch.setattr(AlbumStore, "_count", sleep_then_count)
    assert await store.total(user_id) == 4
    assert slept


async def test_more_events_than_are_counted_at_once(
    database: Database, user_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(albums, "MAX_EVENTS", 3)
    store = ImageStore(database)
    for _ in range(7):
        await insert(database, user_id, tally=["+"], uncounted=user_id)
    for _ in range(4):
        await insert(database, user_id, tally=["+", "-"], uncounted=user_id, deleted=True)
    assert await store.total(user_id) == 7
    assert len((await album_of(database, user_id))["counted"]) <= 6


async def test_at_random(database: Database, user_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes add, delete and look at once; a third of the writes that follow a count are never made."""
    take_off = AlbumStore._take_off
    dice = random.Random(7)

    async def often_killed(self: AlbumStore, events: set[str]) -> None:
        if dice.random() < 0.3:
            raise asyncio.CancelledError
        await take_off(self, events)

    monkeypatch.setattr(AlbumStore, "_take_off", often_killed)
    stores = [ImageStore(database) for _ in range(3)]
    images = [some_image(user_id) for _ in range(90)]

    async def life(number: int) -> None:
        store = stores[number % 3]
        for image in images[number::9]:
            await asyncio.gather(store.add_all([image]), return_exceptions=True)
            if dice.random() < 0.5:
                await asyncio.gather(store.delete(user_id, image.id, retry_seconds=60), return_exceptions=True)

    await asyncio.gather(*(life(number) for number in range(9)))
    monkeypatch.undo()
    assert await stores[0].total(user_id) == await real_total(database, user_id)
    assert len((await album_of(database, user_id))["counted"]) <= albums.MAX_EVENTS
    # Again, from nothing but the pictures.
    before = await stores[0].total(user_id)
    await database["albums"].delete_many({})
    await database["images"].update_many({}, {"$unset": {"tally": "", "uncounted": ""}})
    assert await stores[0].total(user_id) == before
