"""Files that are nobody's go; what may be somebody's, or become it, stays."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from common.mongo import Database, new_id
from image_service.errors import StorageUnavailableError
from image_service.orphan_files import HANDFUL, OrphanFiles
from image_service.storage import new_file
from image_service.storage.local import LocalStorage
from image_service.store.known_files import KnownFiles

OLD_NAMES = [f"{'o' * 31}{n}.png" for n in range(3)]


class Shelf:
    """A folder of files, most of them old, and the records about them."""

    def __init__(self, folder: Path, database: Database, *, page_files: int) -> None:
        self.folder = folder
        self.database = database
        self.storage = LocalStorage(folder, public_url="", page_files=page_files)
        self.orphans = OrphanFiles(self.storage, KnownFiles(database))

    async def put(self, file: str, *, age_seconds: float = 3700) -> str:
        await self.storage.put(file, b"data")
        moment = time.time() - age_seconds
        os.utime(self.folder / file, (moment, moment))
        return file

    async def generation(self, *, open: bool = False, image_ids: list[str] | None = None) -> str:
        generation_id = new_id()
        pictures = [{"image_id": image_id} for image_id in image_ids or []]
        await self.database["generations"].insert_one({"_id": generation_id, "open": open, "pictures": pictures})
        return generation_id

    async def image(self, image_id: str, file: str, **fields: Any) -> None:
        await self.database["images"].insert_one({"_id": image_id, "file": file, "deleted": False, **fields})

    async def sweep(self) -> set[str]:
        after, pages = None, 0
        while pages == 0 or after is not None:
            after, pages = await self.orphans.sweep(after), pages + 1
        return {path.name for path in self.folder.iterdir()}


@pytest.fixture
def shelf(uploads: Path, database: Database) -> Shelf:
    uploads.mkdir()
    return Shelf(uploads, database, page_files=4)


async def test_only_what_is_nobodys_is_removed(shelf: Shelf) -> None:
    living, deleted, purged, legacy = (new_id() for _ in range(4))
    succeeded = await shelf.generation(image_ids=[living, deleted, purged])
    failed, running = await shelf.generation(), await shelf.generation(open=True)
    kept = {
        "picture": await shelf.put(new_file(succeeded)),
        "thumbnail": await shelf.put(new_file(succeeded, ".webp")),
        "to be purged": await shelf.put(new_file(succeeded)),
        "open": await shelf.put(new_file(running)),
        "young": await shelf.put(new_file(failed), age_seconds=3500),
        "young and unheard of": await shelf.put(new_file(new_id()), age_seconds=60),
        "of before": await shelf.put(OLD_NAMES[0]),
        "a stranger's": "notes.txt",
    }
    (shelf.folder / "notes.txt").write_bytes(b"")
    await shelf.image(living, kept["picture"], thumbnail=kept["thumbnail"])
    await shelf.image(legacy, kept["of before"])
    await shelf.image(deleted, kept["to be purged"], deleted=True, purge_at=1)
    gone = [
        await shelf.put(new_file(succeeded)),  # of an attempt whose process died
        await shelf.put(new_file(failed)),
        await shelf.put(new_file(new_id(), ".webp")),
        await shelf.put(OLD_NAMES[1]),
        await shelf.put(new_file(succeeded)),
        await shelf.put(OLD_NAMES[2]),
    ]
    await shelf.image(purged, gone[4], deleted=True)
    await shelf.image(new_id(), gone[5], deleted=True)
    assert await shelf.sweep() == set(kept.values())
    assert await shelf.sweep() == set(kept.values())


async def test_another_database_removes_nothing(shelf: Shelf) -> None:
    storage = LocalStorage(shelf.folder, public_url="")
    files = {await shelf.put(new_file(new_id())) for _ in range(HANDFUL + 1)}
    failed = await shelf.put(new_file(await shelf.generation()))
    await OrphanFiles(storage, KnownFiles(shelf.database)).sweep(None)
    assert {path.name for path in shelf.folder.iterdir()} == files | {failed}
    (shelf.folder / files.pop()).unlink()
    await OrphanFiles(storage, KnownFiles(shelf.database)).sweep(None)
    assert list(shelf.folder.iterdir()) == []


async def test_without_the_database_nothing_is_removed(shelf: Shelf) -> None:
    class Unreadable(KnownFiles):
        async def judge(self, files: Any) -> Any:
            raise ConnectionError

    file = await shelf.put(new_file(new_id()))
    with pytest.raises(ConnectionError):
        await OrphanFiles(shelf.storage, Unreadable(shelf.database)).sweep(None)
    assert [path.name for path in shelf.folder.iterdir()] == [file]


async def test_without_the_storage_it_is_told(shelf: Shelf) -> None:
    shelf.folder.rmdir()
    with pytest.raises(StorageUnavailableError):
        await shelf.orphans.sweep(None)


async def test_names_of_before_are_found_by_an_index(shelf: Shelf) -> None:
    await KnownFiles(shelf.database).ensure_indexes()
    plan = await shelf.database["images"].find({"file": {"$in": OLD_NAMES}}).explain()
    assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"])
