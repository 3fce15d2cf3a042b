"""Pictures as files in a folder of this machine."""

import asyncio
import contextlib
import heapq
import os
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from common.logging import get_logger
from image_service.errors import StorageUnavailableError
from image_service.storage import CHUNK_BYTES, STALE_DRAFT_SECONDS, FilePage, FoundFile, checked, is_file

logger = get_logger(__name__)

T = TypeVar("T")

DRAFT_SUFFIX = ".draft"
PAGE_FILES = 5000
"""Every page reads the whole folder, and holds no more names than these."""


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file that was there a moment ago."""

    path: Path
    size: int

    async def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
        try:
            file = await asyncio.to_thread(self.path.open, "rb")
            with file:
                await asyncio.to_thread(file.seek, start)
                while start < stop:
                    chunk = await asyncio.to_thread(file.read, min(CHUNK_BYTES, stop - start))
                    if not chunk:
                        raise StorageUnavailableError
                    start += len(chunk)
                    yield chunk
        except OSError as error:
            raise _unavailable(error) from error


class LocalStorage:
    """One folder; a file appears in it whole or not at all."""

    def __init__(self, folder: Path, *, public_url: str, page_files: int = PAGE_FILES) -> None:
        self._page_files = page_files
        self._folder = folder
        self._public_url = public_url.rstrip("/")

    async def prepare(self) -> None:
        """Make the folder, and clear away what a crash left half-written."""
        await self._run(self._make_folder)
        await self.remove_drafts()

    def _make_folder(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)

    async def remove_drafts(self) -> None:
        await self._run(self._remove_drafts)

    def _remove_drafts(self) -> None:
        for draft in self._folder.glob(f"*{DRAFT_SUFFIX}"):
            # Another process of the service may be writing one right now.
            with contextlib.suppress(FileNotFoundError):
                if time.time() - draft.stat().st_mtime > STALE_DRAFT_SECONDS:
                    draft.unlink()

    async def put(self, file: str, data: bytes) -> None:
        await self._run(self._put, file, data)

    def _put(self, file: str, data: bytes) -> None:
        target = self._path(file)
        # A draft of its own for each: two processes may be storing one file, the one in the belief that the other died.
        draft = target.with_suffix(f".{uuid4().hex}{DRAFT_SUFFIX}")
        try:
            with draft.open("wb") as writing:
                writing.write(data)
                writing.flush()
                os.fsync(writing.fileno())
            draft.replace(target)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        self._sync_folder()

    def _sync_folder(self) -> None:
        # The name is in the folder only when the folder is on the disk too.
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    async def find(self, file: str) -> LocalFile | None:
        return await self._run(self._find, file)

    def _find(self, file: str) -> LocalFile | None:
        path = self._path(file)
        try:
            return LocalFile(path, path.stat().st_size)
        except FileNotFoundError:
            return None

    async def delete(self, file: str) -> None:
        await self._run(self._delete, file)

    def _delete(self, file: str) -> None:
        try:
            self._path(file).unlink()
        except FileNotFoundError:
            return
        self._sync_folder()

    async def page(self, after: str | None = None) -> FilePage:
        return await self._run(self._page, after or "")

    def _page(self, after: str) -> FilePage:
        with os.scandir(self._folder) as entries:
            names = heapq.nsmallest(
                self._page_files, (entry.name for entry in entries if entry.name > after and is_file(entry.name))
            )
        files = []
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                status = (self._folder / name).stat()
                files.append(FoundFile(name, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC)))
        return FilePage(files, names[-1] if len(names) == self._page_files else None)

    async def url(self, file: str) -> str:
        return f"{self._public_url}/uploads/{file}"

    def _path(self, file: str) -> Path:
        return self._folder / checked(file)

    @staticmethod
    async def _run(action: Callable[..., T], *arguments: object) -> T:
        try:
            return await asyncio.to_thread(action, *arguments)
        except OSError as error:
            raise _unavailable(error) from error


def _unavailable(error: OSError) -> StorageUnavailableError:
    # The reason in the system's words (a full disk, a right that is missing); the path stays out of it.
    logger.error("storage failed", error=type(error).__name__, errno=error.errno, reason=error.strerror)
    return StorageUnavailableError()
