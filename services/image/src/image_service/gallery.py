"""A user's pictures: listed, shown and deleted."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress

from common.pagination import PageQuery, Pagination
from image_service.errors import ImageNotFoundError, StorageUnavailableError
from image_service.models import Image, ImageUrls
from image_service.png import checked
from image_service.remains import RETRY_SECONDS, Remains
from image_service.storage import Storage, new_file, read_all
from image_service.store.images import ImageStore


class Gallery:
    """The pictures a user has; another user's do not exist."""

    def __init__(self, images: ImageStore, storage: Storage, remains: Remains) -> None:
        self._images = images
        self._storage = storage
        self._remains = remains

    async def page(self, user_id: str, query: PageQuery) -> tuple[list[Image], Pagination]:
        """Return one page, newest first."""
        total = await self._images.total(user_id)
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

    async def urls(self, image: Image) -> ImageUrls:
        """Return the addresses from which a phone can load the picture and, if there is one, its thumbnail."""
        thumbnail = None if image.thumbnail is None else await self._storage.url(image.thumbnail)
        return ImageUrls(await self._storage.url(image.file), thumbnail)

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

    async def files_that_are_there(
        self, images: Sequence[Image], *, at_hand: Mapping[str, bytes]
    ) -> tuple[list[Image], list[bytes]]:
        """Return pictures with their stored bytes, less those deleted at this moment.

        Args:
            images: Which.
            at_hand: Bytes by image id that need not be read.

        Raises:
            StorageUnavailableError: One that is not deleted cannot be read.
        """
        found, files = [], []
        for image in images:
            with suppress(ImageNotFoundError):
                files.append(at_hand.get(image.id) or await self.file_if_there(image))
                found.append(image)
        return found, files

    async def delete(self, user_id: str, image_id: str) -> None:
        """Delete a picture: out of sight at once, its files with it, or as soon as the storage lets go of them.

        Raises:
            ImageNotFoundError: There is none, or it is somebody else's.
        """
        deleted = await self._images.delete(user_id, image_id, retry_seconds=RETRY_SECONDS)
        if deleted is None:
            raise ImageNotFoundError
        await self._remains.remove(deleted)

    async def make_thumbnail(self, image: Image) -> bool:
        """Make the thumbnail that a picture lacks; ``False`` if it has one by now, or is deleted.

        Raises:
            StorageUnavailableError: Its file cannot be read, or the thumbnail not be stored.
            ValueError: Its file is no picture.
        """
        sound = await asyncio.to_thread(checked, await self.file(image))
        name = new_file(image.generation_id, ".webp")
        await self._storage.put(name, sound.preview.thumbnail)
        if await self._images.set_preview(
            image, thumbnail=name, blurhash=sound.preview.blurhash, width=sound.width, height=sound.height
        ):
            return True
        await self._storage.delete(name)
        return False
