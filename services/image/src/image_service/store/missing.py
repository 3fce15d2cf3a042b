"""Pictures whose files are not where they should be: marks in the ``images`` collection."""

from collections.abc import Collection as Group
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from common.clock import utc_now
from common.mongo import ASCENDING, Database
from image_service.models import Image


class MissingStore:
    """Users' pictures in the order of their ids, and what the storage lacks of them.

    ``missing_since`` is there from when a picture's file is first not found until it is found again. ``lost_at`` is the
    decision that it will not be: from then on the picture is given up, whatever comes back.
    """

    def __init__(self, database: Database) -> None:
        self._images = database["images"]

    async def ensure_indexes(self) -> None:
        await self._images.create_index("missing_since", sparse=True)
        await self._images.create_index("lost_at", sparse=True)

    async def page(self, after: str | None, *, limit: int) -> list[Image]:
        """Return the next pictures that are not deleted."""
        query: dict[str, Any] = {"deleted": False} | ({"_id": {"$gt": after}} if after else {})
        found = self._images.find(query).sort("_id", ASCENDING).limit(limit)
        return [_to_image(document) for document in await found.to_list(None)]

    async def mark(self, image_ids: Group[str]) -> None:
        """These are missing; since when, is kept of those that were already."""
        await self._images.update_many(
            {"_id": {"$in": list(image_ids)}, "deleted": False, "missing_since": None},
            {"$set": {"missing_since": utc_now()}},
        )

    async def clear(self, image_ids: Group[str]) -> list[str]:
        """These are there; returns which of them were missing."""
        query = {"_id": {"$in": list(image_ids)}, "missing_since": {"$exists": True}, "lost_at": None}
        found = await self._images.find(query, {"_id": 1}).limit(len(image_ids)).to_list(None)
        back = [document["_id"] for document in found]
        if back:
            await self._images.update_many({**query, "_id": {"$in": back}}, {"$unset": {"missing_since": ""}})
        return back

    async def count(self) -> int:
        """Return how many pictures are missing."""
        return await self._images.count_documents({"missing_since": {"$exists": True}, "deleted": False})

    async def find_overdue(self, before: datetime, *, limit: int) -> list[Image]:
        """Return pictures that have been missing since ``before`` and are not given up yet."""
        query = {"missing_since": {"$lte": before}, "deleted": False, "lost_at": None}
        return [_to_image(document) for document in await self._images.find(query).limit(limit).to_list(None)]

    async def set_lost(self, image_id: str, before: datetime) -> None:
        """Decide that a picture will not come back, if it is still missing."""
        await self._images.update_one(
            {"_id": image_id, "missing_since": {"$lte": before}, "deleted": False, "lost_at": None},
            {"$set": {"lost_at": utc_now()}},
        )

    async def find_lost(self, *, limit: int) -> list[Image]:
        """Return pictures that are given up, but still in their users' lists; not those whose refund was refused."""
        query = {"lost_at": {"$exists": True}, "deleted": False, "refund_refused": None}
        return [_to_image(document) for document in await self._images.find(query).limit(limit).to_list(None)]

    async def set_refused(self, image_id: str, code: str) -> None:
        """Leave a lost picture, which cannot be paid back, to somebody who looks into it."""
        await self._images.update_one({"_id": image_id}, {"$set": {"refund_refused": code}})

    async def set_refunded(self, image_id: str, coins: int) -> None:
        """Note what was given back for a lost picture."""
        await self._images.update_one({"_id": image_id}, {"$set": {"refunded_coins": coins}})


def _to_image(document: Mapping[str, Any]) -> Image:
    return Image.model_validate({**document, "id": document["_id"]})
