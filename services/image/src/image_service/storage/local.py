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

from common.logging import get_logger
from image_service.errors import StorageUnavailableError
from image_service.storage import CHUNK_BYTES, FilePage, FoundFile, is_file

logger = get_logger(__name__)

T = TypeVar("T")

DRAFT_SUFFIX = ".draft"
STALE_DRAFT_SECONDS = 3600

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
        except OSError as error:
            raise StorageUnavailableError from error
        with file:
            await asyncio.to_thread(file.seek, start)
            while start < stop:
                chunk = await asyncio.to_thread(file.read, min(CHUNK_BYTES, stop - start))
                if not chunk:
                    raise StorageUnavailableError
                start += len(chunk)
                yield chunk


class LocalStorage:
    """One folder; a file appears in it whole or not at all."""

    def __init__(self, folder: Path, *, public_url: str) -> None:
        self._folder = folder
        self._public_url = public_url.rstrip("/")

    async def prepare(self) -> None:
        """Make the folder, and clear away what a crash left half-written."""
        await asyncio.to_thread(self._prepare)

    def _prepare(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for draft in self._folder.glob(f"*{DRAFT_SUFFIX}"):
            # Another process of the service may be writing one right now.
            with contextlib.suppress(FileNotFoundError):
                if time.time() - draft.stat().st_mtime > STALE_DRAFT_SECONDS:
                    draft.unlink()

    async def put(self, file: str, data: bytes) -> None:
        await self._run(self._put, file, data)

    def _put(self, file: str, data: bytes) -> None:
        target = self._folder / file
        draft = target.with_suffix(DRAFT_SUFFIX)
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
        path = self._folder / file
        try:
            size = (await asyncio.to_thread(path.stat)).st_size
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageUnavailableError from error
        return LocalFile(path, size)

    async def delete(self, file: str) -> None:
        await self._run(self._delete, file)

    def _delete(self, file: str) -> None:
        try:
            (self._folder / file).unlink()
        except FileNotFoundError:
            return
        self._sync_folder()

    async def page(self, after: str | None = None) -> FilePage:
        return await self._run(self._page, after or "")

    def _page(self, after: str) -> FilePage:
        with os.scandir(self._folder) as entries:
            names = heapq.nsmallest(
                PAGE_FILES, (entry.name for entry in entries if entry.name > after and is_file(entry.name))
            )
        files = []
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                status = (self._folder / name).stat()
                files.append(FoundFile(name, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC)))
        return FilePage(files, names[-1] if len(names) == PAGE_FILES else None)

    async def url(self, file: str) -> str:
        return f"{self._public_url}/uploads/{file}"

    @staticmethod
    async def _run(action: Callable[..., T], *arguments: object) -> T:
        try:
            return await asyncio.to_thread(action, *arguments)
        except OSError as error:
            logger.error("storage failed", error=type(error).__name__, errno=error.errno)
            raise StorageUnavailableError from error
