"""Files on this machine: whole or not at all, and nowhere but in their folder."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common.mongo import new_id
from image_service.errors import StorageUnavailableError
from image_service.storage import is_file, new_file, read_all
from image_service.storage.local import STALE_DRAFT_SECONDS, LocalStorage


async def opened(folder: Path) -> LocalStorage:
    storage = LocalStorage(folder, public_url="https://api.example.com/")
    await storage.prepare()
    return storage


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_what_was_put_is_read_and_deleted(uploads: Path) -> None:
    storage = await opened(uploads)
    file, data = new_file(new_id()), bytes(range(256)) * 4000
    await storage.put(file, data)
    assert await read_all(storage, file) == data
    stored = await storage.find(file)
    assert stored is not None
    assert b"".join([chunk async for chunk in stored.chunks(300_000, 900_001)]) == data[300_000:900_001]
    assert await storage.url(file) == f"https://api.example.com/uploads/{file}"
    await storage.delete(file)
    await storage.delete(file)
    assert await storage.find(file) is None
    with pytest.raises(StorageUnavailableError):
        await read_all(storage, file)
    assert names_in(uploads) == []


def test_names_cannot_be_guessed_and_nothing_else_is_a_name() -> None:
    names = {new_file(new_id()) for _ in range(1000)}
    assert len(names) == 1000
    assert all(is_file(name) for name in names)
    name = names.pop()
    for other in (name[1:], f"a{name}", name.upper(), f"{name}\n", f"../{name[3:]}", name.replace(".png", ".gif"), ""):
        assert not is_file(other)


WRITER = """
import asyncio, os, signal, sys
from pathlib import Path
from image_service.storage.local import LocalStorage

os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)  # the power goes just before the disk has it
asyncio.run(LocalStorage(Path(sys.argv[1]), public_url="").put("a" * 32 + ".png", bytes(1000)))
"""


async def test_a_crash_in_the_middle_leaves_no_half_file(uploads: Path) -> None:
    storage = await opened(uploads)
    died = subprocess.run([sys.executable, "-c", WRITER, str(uploads)], check=False)  # noqa: ASYNC221 - nothing else runs
    assert died.returncode == -signal.SIGKILL
    assert await storage.find("a" * 32 + ".png") is None
    drafts = names_in(uploads)
    assert drafts == ["a" * 32 + ".draft"]
    await opened(uploads)
    assert names_in(uploads) == drafts, "it may be another process's, at work"
    long_ago = time.time() - STALE_DRAFT_SECONDS - 1
    os.utime(uploads / drafts[0], (long_ago, long_ago))
    await opened(uploads)
    assert names_in(uploads) == []


async def test_a_failed_put_leaves_nothing(uploads: Path) -> None:
    storage = await opened(uploads)
    file = new_file(new_id())
    (uploads / file).mkdir()  # which no file can replace
    with pytest.raises(StorageUnavailableError):
        await storage.put(file, b"data")
    assert names_in(uploads) == [file]
    with pytest.raises(StorageUnavailableError):
        await storage.delete(file)
