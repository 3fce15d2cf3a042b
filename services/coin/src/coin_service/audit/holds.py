"""Finds open holds without reading the whole ledger."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta

from coin_service.audit.report import OpenHold
from common.mongo import ASCENDING, Database, Document, ObjectId

BATCH_HOLDS = 500

SLACK = timedelta(minutes=5)
"""An entry's id holds the second in which its request began, by its process's clock."""


class OpenHoldScan:
    """Looks at a stretch of time by the entries' ids, which begin with the time."""

    def __init__(self, database: Database) -> None:
        self._entries = database["entries"]

    async def find(self, since: datetime | None, until: datetime) -> AsyncIterator[OpenHold]:
        """Yield the holds of a stretch of time that are still open, the oldest first (to the second)."""
        after = ObjectId("0" * 24) if since is None else ObjectId.from_datetime(since - SLACK)
        query: Document = {
            "_id": {"$gte": after, "$lt": ObjectId.from_datetime(until + SLACK)},
            "kind": "hold",
            "created_at": {"$lt": until} if since is None else {"$lt": until, "$gte": since},
        }
        cursor = self._entries.find(query, batch_size=BATCH_HOLDS).sort("_id", ASCENDING)
        while batch := await cursor.to_list(BATCH_HOLDS):
            ended = await self.ended([document["key"] for document in batch])
            for document in batch:
                if document["key"] not in ended:
                    yield OpenHold(
                        document["user_id"],
                        document["key"],
                        document["amount"],
                        document["created_at"],
                        document["seq"],
                    )

    async def ended(self, keys: Sequence[str]) -> set[str]:
        """Return which of these holds were captured or given back."""
        ends = self._entries.find({"resolves": {"$in": list(keys)}}, {"resolves": 1})
        return {document["resolves"] async for document in ends}
