"""Records without a file: marked, and told aloud; a thumbnail is simply made again."""

import asyncio
from collections.abc import Sequence

from common.logging import get_logger
from image_service.errors import ImageNotFoundError
from image_service.gallery import Gallery
from image_service.models import Image
from image_service.png import checked
from image_service.storage import Storage, is_there
from image_service.storage_metrics import ILL_PAGES
from image_service.store.missing import MissingStore

logger = get_logger(__name__)

PAGE_PICTURES = 200
LOOKS_AT_ONCE = 8
THUMBNAILS_A_PAGE = 20
"""Each takes some 50 ms of a processor; what is left is made in the next round."""

HANDFUL = 5
MISSING_SHARE = 0.05
"""Of a page; where more is missing it is the storage that is ill, and not its pictures."""


class MissingFiles:
    """Looks for the files of all pictures, page by page."""

    name = "missing"

    def __init__(self, storage: Storage, missing: MissingStore, gallery: Gallery) -> None:
        self._storage = storage
        self._missing = missing
        self._gallery = gallery
        self._looks = asyncio.Semaphore(LOOKS_AT_ONCE)

    async def sweep(self, after: str | None) -> str | None:
        """Look for the files of the next pictures; returns where to go on, ``None`` at the end.

        Raises:
            StorageUnavailableError: The storage is away; then nothing can be said of any picture.
        """
        images = await self._missing.page(after, limit=PAGE_PICTURES)
        if images:
            await self._look_for(images)
        return images[-1].id if len(images) == PAGE_PICTURES else None

    async def _look_for(self, images: Sequence[Image]) -> None:
        found = await asyncio.gather(*(self._is_there(image.file) for image in images))
        there = [image for image, is_there in zip(images, found, strict=True) if is_there]
        missing = [image for image, is_there in zip(images, found, strict=True) if not is_there]
        for image_id in await self._missing.clear([image.id for image in there]):
            logger.warning("a missing picture is there again", image_id=image_id)
        if len(missing) > max(HANDFUL, MISSING_SHARE * len(images)):
            ILL_PAGES.labels(self.name).inc()
            logger.critical(
                "too many pictures are not in the storage: is this their storage? none is marked",
                pictures=len(images),
                missing=len(missing),
            )
            return
        await self._missing.mark([image.id for image in missing])
        for image in missing:
            logger.error("a picture is not in the storage", image_id=image.id, generation_id=image.generation_id)
        await self._make_thumbnails(there)

    async def _make_thumbnails(self, images: Sequence[Image]) -> None:
        found = await asyncio.gather(*(self._has_thumbnail(image) for image in images))
        without = [image for image, has_thumbnail in zip(images, found, strict=True) if not has_thumbnail]
        for image in without[:THUMBNAILS_A_PAGE]:
            try:
                await self._make_thumbnail(image)
            except (ValueError, ImageNotFoundError) as error:
                logger.error("no thumbnail can be made", image_id=image.id, error=type(error).__name__)

    async def _make_thumbnail(self, image: Image) -> None:
        if image.thumbnail is None:
            await self._gallery.make_thumbnail(image)
            return
        sound = await asyncio.to_thread(checked, await self._gallery.file_if_there(image))
        await self._storage.put(image.thumbnail, sound.preview.thumbnail)
        logger.warning("a missing thumbnail is made again", image_id=image.id)

    async def _has_thumbnail(self, image: Image) -> bool:
        return image.thumbnail is not None and await self._is_there(image.thumbnail)

    async def _is_there(self, file: str) -> bool:
        async with self._looks:
            return await is_there(self._storage, file)
