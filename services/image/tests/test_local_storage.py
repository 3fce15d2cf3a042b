"""Files on this machine: whole or not at all, and nowhere but in their folder."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common.mongo import new_id
from image_service.errors import StorageUnavailableError
from image_service.storage import STALE_DRAFT_SECONDS, checked, content_type, generation_of, is_file, new_file, stem
from image_service.storage.local import LocalFile, LocalStorage


async def opened(folder: Path) -> LocalStorage:
    storage = LocalStorage(folder, public_url="https://api.example.com/")
    await storage.prepare()
    return storage


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_names_cannot_be_guessed_and_nothing_else_is_a_name() -> None:
    generation_id = new_id()
    names = {new_file(generation_id, suffix) for suffix in (".png", ".webp") for _ in range(500)}
    assert len(names) == 1000
    assert all(is_file(name) and generation_of(name) == generation_id for name in names)
    old = "Old-name_of_thirty-two_letters00.png"
    assert is_file(old)
    assert generation_of(old) is None
    for name in (names.pop(), old):
        for other in (name[1:], f"a{name}", name.upper(), f"{name}\n", f"../{name[3:]}", f"{stem(name)}.gif", ""):
            assert not is_file(other)
            with pytest.raises(ValueError, match="not the name"):
                checked(other)
    assert not is_file(old.replace(".png", ".webp"))
    assert content_type("a.png") == "image/png"
    assert content_type("a.webp") == "image/webp"


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
    assert len(drafts) == 1
    assert drafts[0].endswith(".draft")
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


FULL_DISK = """
import asyncio, json, resource, sys
from pathlib import Path
from image_service.errors import StorageUnavailableError
from image_service.storage.local import LocalStorage

async def main():
    storage = LocalStorage(Path(sys.argv[1]), public_url="")
    try:
        await storage.put("a" * 32 + ".png", bytes(2_000_000))
    except StorageUnavailableError:
        print("refused")

import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then a file that grows too large is an error, as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
asyncio.run(main())
"""


def test_a_disk_without_room_is_told_and_nothing_stays(uploads: Path) -> None:
    uploads.mkdir()
    ended = subprocess.run([sys.executable, "-c", FULL_DISK, str(uploads)], check=True, capture_output=True, text=True)
    assert "refused" in ended.stdout
    assert "storage failed" in ended.stdout
    assert "File too large" in ended.stdout, "in the system's own words"
    assert str(uploads) not in ended.stdout
    assert names_in(uploads) == []


async def test_a_folder_that_is_gone_or_closed_is_told(uploads: Path, tmp_path: Path) -> None:
    storage = await opened(uploads)
    file = new_file(new_id())
    await storage.put(file, b"data")
    stored = await storage.find(file)
    assert stored is not None
    await asyncio.to_thread(uploads.rename, tmp_path / "elsewhere")
    for action in (storage.put(file, b"data"), storage.page(), read(stored)):
        with pytest.raises(StorageUnavailableError):
            await action
    (tmp_path / "a file").write_bytes(b"")
    with pytest.raises(StorageUnavailableError):
        await opened(tmp_path / "a file" / "uploads")


async def read(stored: LocalFile) -> bytes:
    return b"".join([chunk async for chunk in stored.chunks(0, stored.size)])


async def test_a_list_goes_on_where_it_stopped(uploads: Path) -> None:
    await opened(uploads)
    storage = LocalStorage(uploads, public_url="", page_files=2)
    names = sorted(new_file(new_id()) for _ in range(5))
    for name in names:
        await storage.put(name, b"data")
    (uploads / "somebody-elses.txt").write_bytes(b"")
    found, after, pages = list[str](), None, 0
    while pages == 0 or after is not None:
        page = await storage.page(after)
        found += [file.name for file in page.files]
        after, pages = page.after, pages + 1
        if pages == 1:
            await storage.delete(names[-1])  # a list may change under its reader
    assert (found, pages) == (names[:-1], 3)
