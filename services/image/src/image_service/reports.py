"""Complaints about pictures: kept with a snapshot, so that nobody can delete what is under review."""

import asyncio
import hashlib
import secrets
from datetime import timedelta

from common.clock import utc_now
from common.logging import get_logger
from common.mongo import DATABASE_UNAVAILABLE
from image_service.errors import ImageNotFoundError, ReportNotFoundError, StorageUnavailableError, TooManyReportsError
from image_service.reported import Report, ReportStatus, Snapshot
from image_service.storage import Storage, read_all
from image_service.store.images import ImageStore
from image_service.store.reports import ReportStore

logger = get_logger(__name__)

DAY = timedelta(days=1)
RETRY_SECONDS = 60.0
KEEP_SECONDS = 8.0
"""How long a reporter waits for the copy; it is made later if the storage is away."""

MAX_A_ROUND = 100

AWAY: tuple[type[Exception], ...] = (StorageUnavailableError, TimeoutError, *DATABASE_UNAVAILABLE)
"""What may be over in a moment."""


class ReportService:
    """Reports of the users on their pictures, and their review.

    Each report has a copy of the picture's file, under a name of its own that ``/uploads`` does not serve and no
    sweeper takes for a picture's. A deleted picture's file goes only when the copies of all its reports are made.

    Args:
        reports: Of all users.
        images: What they are about.
        storage: Holds the pictures, and the copies.
        reports_a_day: Of one user; a repeat of one that is there is not counted.
    """

    def __init__(self, reports: ReportStore, images: ImageStore, storage: Storage, *, reports_a_day: int) -> None:
        self._reports = reports
        self._images = images
        self._storage = storage
        self._reports_a_day = reports_a_day

    async def report(self, user_id: str, image_id: str, *, reason: str, note: str | None) -> Report:
        """Keep a report; the same user's report of the same picture for the same reason is the same report.

        Raises:
            ImageNotFoundError: There is no such picture, or it is somebody else's.
            TooManyReportsError: The user has reported enough for a day.
        """
        image = await self._images.find(user_id, image_id)
        if image is None:
            raise ImageNotFoundError
        report_id = _report_id(user_id, image.id, reason)
        earlier = await self._reports.find(report_id)
        if earlier is not None:
            return earlier
        now = utc_now()
        times = await self._reports.times_since(user_id, now - DAY, limit=self._reports_a_day)
        if len(times) >= self._reports_a_day:
            raise TooManyReportsError(retry_after_seconds=(times[0] + DAY - now).total_seconds())
        report = Report(
            id=report_id,
            user_id=user_id,
            image_id=image.id,
            reason=reason,
            note=note,
            snapshot=Snapshot.of(image),
            original=image.file,
            file=f"report-{report_id}-{secrets.token_urlsafe(16)}.png",
            created_at=now,
        )
        if not await self._reports.add(report, retry_seconds=RETRY_SECONDS):
            return await self.get(report_id)
        logger.info("picture reported", report_id=report.id, image_id=image.id)
        try:
            async with asyncio.timeout(KEEP_SECONDS):
                await self._keep_first(report)
        except AWAY as error:
            logger.warning("a reported picture is not copied yet", report_id=report.id, error=type(error).__name__)
        return report

    async def get(self, report_id: str) -> Report:
        """Return one report.

        Raises:
            ReportNotFoundError: There is none.
        """
        report = await self._reports.find(report_id)
        if report is None:
            raise ReportNotFoundError
        return report

    async def list_reports(self, status: ReportStatus | None, *, limit: int) -> list[Report]:
        """Return the newest reports."""
        return await self._reports.list_reports(status, limit=limit)

    async def picture(self, report: Report) -> bytes:
        """Return the picture under review.

        Raises:
            StorageUnavailableError: It cannot be read.
        """
        copy = None if report.file is None else await self._storage.find(report.file)
        return await read_all(self._storage, report.original if report.file is None or copy is None else report.file)

    async def close(self, report_id: str, *, decision: str, actor: str) -> Report:
        """End a review and remove its copy of the picture; repeat it if the storage fails.

        Raises:
            ReportNotFoundError: There is no such report.
            StorageUnavailableError: It is closed, but its copy is still there.
        """
        report = await self._reports.close(report_id, decision=decision, actor=actor)
        if report is None:
            raise ReportNotFoundError
        if report.file is not None:
            await self._storage.delete(report.file)
            report = await self._reports.forget_file(report_id) or report
        return report

    async def keep_due(self) -> None:
        """Make copies that could not be made when the reports came, until none is left or the storage fails again."""
        for _ in range(MAX_A_ROUND):
            report = await self._reports.claim_unkept(retry_seconds=RETRY_SECONDS)
            if report is None:
                return
            await self._keep(report)

    async def keep_all(self, image_id: str) -> None:
        """Make the copies that are still to be made of a picture; after this its file may go.

        Raises:
            StorageUnavailableError: Not all of them could be made.
        """
        while unkept := await self._reports.find_unkept(image_id, limit=MAX_A_ROUND):
            for report in unkept:
                await self._keep(report)

    async def _keep_first(self, report: Report) -> None:
        if await self._copy(report):
            return
        if await self._images.find(report.user_id, report.image_id) is None:
            # Deleted, file and all, before the report was there to hold it up.
            await self._reports.withdraw(report.id)
            raise ImageNotFoundError
        await self._reports.set_kept(report.id, None)

    async def _keep(self, report: Report) -> None:
        if not await self._copy(report):
            await self._reports.set_kept(report.id, None)  # the snapshot is all that can be kept

    async def _copy(self, report: Report) -> bool:
        """Copy the picture's file; ``False`` if it is gone.

        Raises:
            StorageUnavailableError: Not copied yet.
        """
        if report.file is None or await self._storage.find(report.original) is None:
            return False
        await self._storage.put(report.file, await read_all(self._storage, report.original))
        if not await self._reports.set_kept(report.id, report.file):
            await self._storage.delete(report.file)  # the review has ended meanwhile
        return True


def _report_id(user_id: str, image_id: str, reason: str) -> str:
    return hashlib.sha256("\0".join((user_id, image_id, reason)).encode()).hexdigest()[:24]
