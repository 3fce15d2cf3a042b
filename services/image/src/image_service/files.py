"""From the engine's pictures to files in storage."""

import asyncio
import hashlib

from common.logging import get_logger
from common.mongo import new_id
from image_service.errors import StorageUnavailableError
from image_service.models import Picture
from image_service.png import marked
from image_service.providers import DrawnPicture
from image_service.storage import Storage, new_file

logger = get_logger(__name__)


def new_files(generation_id: str, samples: int) -> list[str]:
    """Make the names of one attempt's files: a picture's and a thumbnail's for each of ``samples``."""
    return [new_file(generation_id, suffix) for _ in range(samples) for suffix in (".png", ".webp")]


DELETE_SECONDS = 3.0
"""Coins are waiting to be taken or given back meanwhile."""


class PictureFiles:
    """The files of one generation's pictures."""

    def __init__(self, storage: Storage, *, delete_seconds: float = DELETE_SECONDS) -> None:
        self._storage = storage
        self._delete_seconds = delete_seconds

    async def store(self, names: list[str], drawn: list[DrawnPicture], files: dict[str, bytes]) -> list[Picture]:
        """Store pictures and their thumbnails; pictures that could not be stored are left out.

        Args:
            names: As ``new_files`` makes them, for at least as many pictures.
            drawn: The pictures.
            files: Takes the stored pictures' bytes by image id.

        Raises:
            StorageUnavailableError: None could be stored.
        """
        # Ids are made in the pictures' order, which is the order of lists.
        pairs = zip(names[::2], names[1::2], strict=True)
        orders = [(new_id(), *pair, picture) for pair, picture in zip(pairs, drawn, strict=False)]
        results = await asyncio.gather(*(self._store(*order, files) for order in orders), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, StorageUnavailableError):
                raise result
        pictures = [result for result in results if isinstance(result, Picture)]
        if not pictures:
            raise StorageUnavailableError
        return pictures

    async def _store(
        self, image_id: str, name: str, thumbnail_name: str, drawn: DrawnPicture, files: dict[str, bytes]
    ) -> Picture:
        data = await asyncio.to_thread(marked, drawn.png)
        await self._storage.put(name, data)
        thumbnail = await self._store_thumbnail(thumbnail_name, drawn)
        digest = await asyncio.to_thread(_sha256, data)
        files[image_id] = data
        return Picture(
            image_id=image_id,
            file=name,
            thumbnail=thumbnail,
            blurhash=None if drawn.preview is None else drawn.preview.blurhash,
            width=drawn.width,
            height=drawn.height,
            seed=drawn.seed,
            size_bytes=len(data),
            sha256=digest,
        )

    async def _store_thumbnail(self, name: str, drawn: DrawnPicture) -> str | None:
        """Store the thumbnail; a picture is not lost for the want of it, and it can be made later."""
        if drawn.preview is None:
            return None
        try:
            await self._storage.put(name, drawn.preview.thumbnail)
        except StorageUnavailableError:
            logger.warning("a picture is stored without its thumbnail", file=name)
            return None
        return name

    async def delete(self, names: list[str]) -> None:
        """Remove files that are nobody's, within ``delete_seconds``.

        One that stays is harmless, since nobody knows its name, and is found by the sweep of the storage.
        """
        try:
            async with asyncio.timeout(self._delete_seconds):
                for name in names:
                    await self._storage.delete(name)
        except (StorageUnavailableError, TimeoutError):
            logger.warning("files are left without a picture", files=len(names))


def unused(names: list[str], pictures: list[Picture]) -> list[str]:
    """Return the names under which nothing was stored for good."""
    used = {file for picture in pictures for file in picture.files}
    return [name for name in names if name not in used]


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
