"""From the engine's pictures to files in storage."""

import asyncio
import hashlib

from common.logging import get_logger
from common.mongo import new_id
from image_service.errors import StorageUnavailableError
from image_service.models import Picture
from image_service.png import marked
from image_service.providers import DrawnPicture
from image_service.storage import Storage

logger = get_logger(__name__)


class PictureFiles:
    """The files of one generation's pictures."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def store(self, names: list[str], drawn: list[DrawnPicture], files: dict[str, bytes]) -> list[Picture]:
        """Store pictures under names; those that could not be stored are left out.

        Args:
            names: At least as many as pictures.
            drawn: The pictures.
            files: Takes the stored bytes by image id.

        Raises:
            StorageUnavailableError: None could be stored.
        """
        # Ids are made in the pictures' order, which is the order of lists.
        orders = [(new_id(), name, picture) for name, picture in zip(names, drawn, strict=False)]
        results = await asyncio.gather(*(self._store(*order, files) for order in orders), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, StorageUnavailableError):
                raise result
        pictures = [result for result in results if isinstance(result, Picture)]
        if not pictures:
            raise StorageUnavailableError
        return pictures

    async def _store(self, image_id: str, name: str, drawn: DrawnPicture, files: dict[str, bytes]) -> Picture:
        data = await asyncio.to_thread(marked, drawn.png)
        await self._storage.put(name, data)
        digest = await asyncio.to_thread(_sha256, data)
        files[image_id] = data
        return Picture(image_id=image_id, file=name, seed=drawn.seed, size_bytes=len(data), sha256=digest)

    async def delete(self, names: list[str]) -> None:
        """Remove files that are nobody's; one that stays is harmless, since nobody knows its name."""
        for name in names:
            try:
                await self._storage.delete(name)
            except StorageUnavailableError:
                logger.warning("files are left without a picture", files=len(names))
                return


def unused(names: list[str], pictures: list[Picture]) -> list[str]:
    """Return the names under which no picture was stored for good."""
    used = {picture.file for picture in pictures}
    return [name for name in names if name not in used]


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
