"""What is left of deleted pictures: files, and the prompt of their order."""

import asyncio

from common.logging import get_logger
from image_service.models import DeletedImage
from image_service.reports import AWAY, ReportService
from image_service.storage import Storage
from image_service.store.generations import GenerationStore
from image_service.store.images import ImageStore

logger = get_logger(__name__)

RETRY_SECONDS = 60.0
REMOVE_SECONDS = 8.0
"""How long the storage may take; the picture is gone for everybody before that."""

MAX_A_ROUND = 100


class Remains:
    """Removes them; what cannot be removed now is tried again until it is."""

    def __init__(
        self, images: ImageStore, generations: GenerationStore, reports: ReportService, storage: Storage
    ) -> None:
        self._images = images
        self._generations = generations
        self._reports = reports
        self._storage = storage

    async def purge(self) -> None:
        """Remove what earlier tries have left, until nothing is left or something fails again."""
        for _ in range(MAX_A_ROUND):
            deleted = await self._images.claim_purge(retry_seconds=RETRY_SECONDS)
            if deleted is None or not await self.remove(deleted):
                return

    async def remove(self, deleted: DeletedImage) -> bool:
        """Remove what is left of one picture; ``False`` if something stays, for now."""
        try:
            async with asyncio.timeout(REMOVE_SECONDS):
                # First the copies of what is under review: after this there is nothing to copy.
                await self._reports.keep_all(deleted.id)
                for file in deleted.files:
                    await self._storage.delete(file)
            if not await self._forget_order(deleted):
                return False
            await self._images.set_purged(deleted.id)
        except AWAY as error:
            logger.warning("something is left of a deleted picture", image_id=deleted.id, error=type(error).__name__)
            return False
        return True

    async def _forget_order(self, deleted: DeletedImage) -> bool:
        """Remove the order's prompt with its last picture; ``False`` while the order is still under way."""
        generation = await self._generations.find(deleted.generation_id)
        if generation is None:
            return True
        image_ids = [picture.image_id for picture in generation.pictures]
        if await self._images.find_all(deleted.user_id, image_ids):
            return True
        return await self._generations.forget_prompt(deleted.generation_id)
