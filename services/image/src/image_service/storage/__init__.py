"""Where the pictures' files lie, behind one Protocol."""

import re
import secrets
from collections.abc import AsyncIterator
from typing import Protocol

from image_service.errors import StorageUnavailableError

CONTENT_TYPE = "image/png"
CACHE_CONTROL = "public, max-age=31536000, immutable"
"""A file never changes: every stored picture has a name of its own."""

CHUNK_BYTES = 256 * 1024

_FILE = re.compile(r"[A-Za-z0-9_-]{32}\.png")


def new_file() -> str:
    """Make a file's name: 192 random bits, since whoever knows the name may see the picture."""
    return f"{secrets.token_urlsafe(24)}.png"


def is_file(name: str) -> bool:
    """Whether ``name`` is one that ``new_file`` may have made; nothing else is ever looked for."""
    return _FILE.fullmatch(name) is not None


class StoredFile(Protocol):
    """One file that was there a moment ago."""

    @property
    def size(self) -> int:
        """In bytes."""

    def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """Read the bytes from ``start`` to just before ``stop``."""


class Storage(Protocol):
    """Files by name. Every call may be repeated; each raises ``StorageUnavailableError`` if the storage is away."""

    async def put(self, file: str, data: bytes) -> None:
        """Store a file whole; once this returns it outlives a crash."""

    async def find(self, file: str) -> StoredFile | None: ...

    async def delete(self, file: str) -> None:
        """Remove a file; one that is not there is removed."""

    async def url(self, file: str) -> str:
        """Return an address from which phones can load the file."""


async def read_all(storage: Storage, file: str) -> bytes:
    """Return a file's bytes.

    Raises:
        StorageUnavailableError: It is not there, or cannot be read.
    """
    stored = await storage.find(file)
    if stored is None:
        raise StorageUnavailableError
    return b"".join([chunk async for chunk in stored.chunks(0, stored.size)])
