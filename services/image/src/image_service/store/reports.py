"""The ``reports`` collection: complaints about pictures, with what they are about."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from common.clock import utc_now
from common.mongo import ASCENDING, DESCENDING, Database, DuplicateKeyError, ReturnDocument
from image_service.reported import Report, ReportStatus


class ReportStore:
    """Reports; ``keep_at`` is there while the copy of the picture's file is still to be made."""

    def __init__(self, database: Database) -> None:
        self._reports = database["reports"]

    async def ensure_indexes(self) -> None:
        await self._reports.create_index([("user_id", ASCENDING), ("created_at", ASCENDING)])
        await self._reports.create_index([("created_at", DESCENDING), ("_id", DESCENDING)])
        await self._reports.create_index([("status", ASCENDING), ("created_at", DESCENDING), ("_id", DESCENDING)])
        await self._reports.create_index([("image_id", ASCENDING), ("keep_at", ASCENDING)])
        await self._reports.create_index("keep_at", sparse=True)

    async def add(self, report: Report, *, retry_seconds: float) -> bool:
        """Insert ``report``, its copy still to be made; ``False`` if it is there already.

        Args:
            report: With the name of its copy.
            retry_seconds: After this long the copy is somebody else's to make.
        """
        document = report.model_dump()
        document["_id"] = document.pop("id")
        document["keep_at"] = utc_now() + timedelta(seconds=retry_seconds)
        try:
            await self._reports.insert_one(document)
        except DuplicateKeyError:
            return False
        return True

    async def find(self, report_id: str) -> Report | None:
        document = await self._reports.find_one({"_id": report_id})
        return None if document is None else _to_report(document)

    async def times_since(self, user_id: str, moment: datetime, *, limit: int) -> list[datetime]:
        """Return when a user reported since ``moment``, the first times first."""
        query = {"user_id": user_id, "created_at": {"$gt": moment}}
        found = self._reports.find(query, {"created_at": 1}).sort("created_at", ASCENDING).limit(limit)
        return [document["created_at"] for document in await found.to_list(None)]

    async def find_unkept(self, image_id: str, *, limit: int) -> list[Report]:
        """Return reports about a picture whose copies are still to be made."""
        query = {"image_id": image_id, "keep_at": {"$exists": True}}
        return [_to_report(document) for document in await self._reports.find(query).limit(limit).to_list(None)]

    async def claim_unkept(self, *, retry_seconds: float) -> Report | None:
        """Return one report whose copy should have been made by now, and put off its next turn."""
        now = utc_now()
        document = await self._reports.find_one_and_update(
            {"keep_at": {"$lte": now}},
            {"$set": {"keep_at": now + timedelta(seconds=retry_seconds)}},
            sort=[("keep_at", ASCENDING)],
        )
        return None if document is None else _to_report(document)

    async def set_kept(self, report_id: str, file: str | None) -> bool:
        """The copy is made under ``file``, or there is nothing to copy; ``False`` if the report is closed by now."""
        result = await self._reports.update_one(
            {"_id": report_id, "status": "received"}, {"$set": {"file": file}, "$unset": {"keep_at": ""}}
        )
        return result.matched_count == 1

    async def withdraw(self, report_id: str) -> None:
        """Remove a report that came too late: its picture was deleted before anything could be kept of it."""
        await self._reports.delete_one({"_id": report_id, "keep_at": {"$exists": True}})

    async def list_reports(self, status: ReportStatus | None, *, limit: int) -> list[Report]:
        """Return the newest reports."""
        found = self._reports.find({} if status is None else {"status": status})
        documents = await found.sort([("created_at", DESCENDING), ("_id", DESCENDING)]).limit(limit).to_list(None)
        return [_to_report(document) for document in documents]

    async def close(self, report_id: str, *, decision: str, actor: str) -> Report | None:
        """End a review; ``None`` if there is no such report. One that is closed stays as it is."""
        await self._reports.update_one(
            {"_id": report_id, "status": "received"},
            {
                "$set": {"status": "closed", "closed_at": utc_now(), "decision": decision, "actor": actor},
                "$unset": {"keep_at": ""},
            },
        )
        return await self.find(report_id)

    async def forget_file(self, report_id: str) -> Report | None:
        """The copy of a closed report is removed."""
        document = await self._reports.find_one_and_update(
            {"_id": report_id, "status": "closed"}, {"$set": {"file": None}}, return_document=ReturnDocument.AFTER
        )
        return None if document is None else _to_report(document)


def _to_report(document: Mapping[str, Any]) -> Report:
    return Report.model_validate({**document, "id": document["_id"]})
