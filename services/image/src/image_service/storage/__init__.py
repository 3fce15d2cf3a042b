"""Where the pictures' files lie, behind one Protocol."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from image_service.errors import StorageUnavailableError
from image_service.storage.names import Suffix, checked, content_type, generation_of, is_file, new_file, stem

__all__ = [
    "CACHE_CONTROL",
    "CHUNK_BYTES",
    "STALE_DRAFT_SECONDS",
    "FilePage",
    "FoundFile",
    "Storage",
    "StoredFile",
    "Suffix",
    "checked",
    "content_type",
    "generation_of",
    "is_file",
    "is_there",
    "new_file",
    "read_all",
    "stem",
]

CACHE_CONTROL = "public, max-age=31536000, immutable"
"""A file never changes: every stored picture has a name of its own."""

CHUNK_BYTES = 256 * 1024

STALE_DRAFT_SECONDS = 3600.0
"""After so long nobody is still writing."""


class StoredFile(Protocol):
    """One file that was there a moment ago."""

    @property
    def size(self) -> int:
        """In bytes."""

    def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """Read the bytes from ``start`` to just before ``stop``."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """One file of a list."""

    name: str
    size: int
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class FilePage:
    """Some of the files; ``after`` leads to the next ones, ``None`` if these were the last."""

    files: list[FoundFile]
    after: str | None


class Storage(Protocol):
    """Files by name. Every call may be repeated; each raises ``StorageUnavailableError`` if the storage is away.

    Names are pictures', or of copies for review; with any other it is a ``ValueError``.
    """

    async def put(self, file: str, data: bytes) -> None:
        """Store a file whole, with the content type of its suffix; once this returns it outlives a crash."""

    async def find(self, file: str) -> StoredFile | None: ...

    async def delete(self, file: str) -> None:
        """Remove a file; one that is not there is removed."""

    async def url(self, file: str) -> str:
        """Return an address from which phones can load the file."""

    async def page(self, after: str | None = None) -> FilePage:
        """List a bounded number of the pictures' files; what else is in the storage is none of the caller's.

        Args:
            after: Of the page before, perhaps of long ago.
        """

    async def remove_drafts(self) -> None:
        """Clear away what crashes left half-written."""


async def is_there(storage: Storage, file: str) -> bool:
    """Whether a file can be found; under a name that is none, nothing can.

    Raises:
        StorageUnavailableError: Nobody can tell now.
    """
    return is_file(file) and await storage.find(file) is not None


async def read_all(storage: Storage, file: str) -> bytes:
    """Return a file's bytes.

    Raises:
        StorageUnavailableError: It is not there, or cannot be read.
    """
    stored = await storage.find(file)
    if stored is None:
        raise StorageUnavailableError
    return b"".join([chunk async for chunk in stored.chunks(0, stored.size)])
