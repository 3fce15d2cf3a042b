"""Files without a record: what dead processes stored and nobody came to own."""

from datetime import timedelta

from common.clock import utc_now
from common.logging import get_logger
from image_service.storage import Storage
from image_service.storage_metrics import ILL_PAGES, ORPHANS
from image_service.store.known_files import KnownFiles

logger = get_logger(__name__)

YOUNG = timedelta(hours=1)
"""Far longer than an order lives: a younger file may still become somebody's."""

HANDFUL = 5
UNHEARD_SHARE = 0.05
"""Of a page's old files; records of orders stay, so hardly a file should be of one that was never heard of."""


class OrphanFiles:
    """Finds and removes them, page by page."""

    name = "orphans"

    def __init__(self, storage: Storage, known: KnownFiles) -> None:
        self._storage = storage
        self._known = known

    async def sweep(self, after: str | None) -> str | None:
        """Look at the next files; returns where to go on, ``None`` at the end.

        Raises:
            StorageUnavailableError: The storage is away.
        """
        page = await self._storage.page(after)
        limit = utc_now() - YOUNG
        old = [file.name for file in page.files if file.modified_at < limit]
        verdict = await self._known.judge(old)
        if len(verdict.unheard) > max(HANDFUL, UNHEARD_SHARE * len(old)):
            # Another database than the one these files belong to, or an older state of it.
            ILL_PAGES.labels(self.name).inc()
            logger.critical(
                "files of unknown orders: is this their database? none is removed",
                files=len(old),
                unknown=len(verdict.unheard),
            )
        else:
            for file in verdict.orphans:
                await self._storage.delete(file)
                ORPHANS.inc()
            if verdict.orphans:
                logger.warning("files that were nobody's are removed", files=len(verdict.orphans))
        if page.after is None:
            await self._storage.remove_drafts()
        return page.after
