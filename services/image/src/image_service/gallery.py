"""A user's pictures: listed, shown and deleted."""

import asyncio

from common.logging import get_logger
from common.pagination import PageQuery, Pagination
from image_service.errors import ImageNotFoundError, StorageUnavailableError
from image_service.models import Image
from image_service.storage import Storage, read_all
from image_service.store.images import ImageStore

logger = get_logger(__name__)

PURGE_RETRY_SECONDS = 60.0
DELETE_SECONDS = 8.0
"""How long a delete waits for the storage; the picture is gone for everybody before that."""


class Gallery:
    """The pictures a user has; another user's do not exist."""

    def __init__(self, images: ImageStore, storage: Storage) -> None:
        self._images = images
        self._storage = storage

    async def page(self, user_id: str, query: PageQuery) -> tuple[list[Image], Pagination]:
        """Return one page, newest first."""
        total = await self._images.count(user_id)
        # A page past the end is not looked for; a cursor always is, so that a foreign one is refused.
        past_the_end = query.cursor is None and query.skip >= total
        images, next_cursor = ([], None) if past_the_end else await self._images.page(user_id, query)
        return images, Pagination.of(query, total=total, has_next=next_cursor is not None, next_cursor=next_cursor)

    async def get(self, user_id: str, image_id: str) -> Image:
        """Return one picture.

        Raises:
            ImageNotFoundError: There is none, or it is somebody else's.
        """
        image = await self._images.find(user_id, image_id)
        if image is None:
            raise ImageNotFoundError
        return image

    async def url(self, image: Image) -> str:
        """Return an address from which a phone can load the picture."""
        return await self._storage.url(image.file)

    async def file(self, image: Image) -> bytes:
        """Return the stored bytes.

        Raises:
            StorageUnavailableError: They cannot be read.
        """
        return await read_all(self._storage, image.file)

    async def file_if_there(self, image: Image) -> bytes:
        """Return the stored bytes of a picture that may be deleted at this moment.

        Raises:
            ImageNotFoundError: It has been.
            StorageUnavailableError: They cannot be read.
        """
        try:
            return await self.file(image)
        except StorageUnavailableError:
            await self.get(image.user_id, image.id)
            raise

    async def delete(self, user_id: str, image_id: str) -> None:
        """Delete a picture: out of sight at once, its file with it, or as soon as the storage lets go of it.

        Raises:
            ImageNotFoundError: There is none, or it is somebody else's.
        """
        file = await self._images.delete(user_id, image_id, retry_seconds=PURGE_RETRY_SECONDS)
        if file is None:
            raise ImageNotFoundError
        await self._purge(image_id, file)

    async def purge_one(self) -> bool:
        """Remove one file that a delete could not; ``False`` if there is none to remove now."""
        claimed = await self._images.claim_purge(retry_seconds=PURGE_RETRY_SECONDS)
        return claimed is not None and await self._purge(*claimed)

    async def _purge(self, image_id: str, file: str) -> bool:
        try:
            async with asyncio.timeout(DELETE_SECONDS):
                await self._storage.delete(file)
        except (StorageUnavailableError, TimeoutError):
            logger.warning("a deleted picture's file is still there", image_id=image_id)
            return False
        await self._images.set_purged(image_id)
        return True
