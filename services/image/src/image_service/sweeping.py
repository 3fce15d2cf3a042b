"""Everything that keeps the storage and its records in step, put together."""

from common.clients.coin import CoinClient
from common.duties import DutyStore
from common.mongo import Database
from image_service.background import Job
from image_service.gallery import Gallery
from image_service.lost_pictures import LostPictures
from image_service.missing_files import MissingFiles
from image_service.orphan_files import OrphanFiles
from image_service.settings import Settings
from image_service.storage import Storage
from image_service.storage_metrics import MISSING
from image_service.storage_sweeper import POLL_SECONDS, StorageSweeper, Work
from image_service.store.images import ImageStore
from image_service.store.known_files import KnownFiles
from image_service.store.missing import MissingStore


async def sweeping(
    database: Database, storage: Storage, images: ImageStore, gallery: Gallery, coins: CoinClient, settings: Settings
) -> Job:
    """Return what every process does for it; whose turn it is they agree on among themselves."""
    known, missing = KnownFiles(database), MissingStore(database)
    await known.ensure_indexes()
    await missing.ensure_indexes()
    works: list[Work] = [
        OrphanFiles(storage, known),
        MissingFiles(storage, missing, gallery),
        LostPictures(storage, missing, images, coins, missing_hours=settings.storage_missing_hours),
    ]
    sweeper = StorageSweeper(DutyStore(database), works, interval_seconds=settings.storage_sweep_seconds)

    async def sweep() -> None:
        await sweeper.sweep()
        # By every process, whichever of them found it out.
        MISSING.set(await missing.count())

    return Job(sweep, min(POLL_SECONDS, settings.storage_sweep_seconds))
