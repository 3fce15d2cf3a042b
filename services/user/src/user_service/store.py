"""The user service's collection."""

from datetime import datetime

from common.mongo import Database, DuplicateKeyError
from user_service.models import PendingChange, Profile

REMEMBERED_REFUSALS = 20
"""More than there can be between a change's being refused and its caller's reading of that."""


class ProfileStore:
    """The ``profiles`` collection: one document a user; at most one change of it is pending."""

    def __init__(self, database: Database) -> None:
        self._profiles = database["profiles"]

    async def ensure_indexes(self) -> None:
        # Sparse: only the few profiles with a pending change are in it.
        await self._profiles.create_index("pending.opened_at", sparse=True)

    async def find(self, user_id: str) -> Profile | None:
        document = await self._profiles.find_one({"_id": user_id})
        return None if document is None else Profile.model_validate(document)

    async def add(self, profile: Profile) -> bool:
        """Insert a user's first profile; ``False`` if there is one already."""
        try:
            await self._profiles.insert_one(profile.to_document())
        except DuplicateKeyError:
            return False
        return True

    async def set_avatar(self, user_id: str, avatar_url: str | None, moment: datetime) -> None:
        await self._profiles.update_one(
            {"_id": user_id, "avatar_url": {"$ne": avatar_url}},
            {"$set": {"avatar_url": avatar_url, "updated_at": moment}},
        )

    async def open_change(self, profile: Profile, pending: PendingChange) -> bool:
        """Write down a change of ``profile`` as it was read; ``False`` if another change was faster."""
        result = await self._profiles.update_one(
            {"_id": profile.id, "version": profile.version, "pending": None},
            {"$set": {"pending": pending.model_dump()}},
        )
        return result.matched_count == 1

    async def apply_change(self, user_id: str, pending: PendingChange, moment: datetime) -> None:
        """Make a pending change the profile; does nothing if somebody else has ended it."""
        await self._profiles.update_one(
            {"_id": user_id, "pending.version": pending.version},
            {"$set": {**pending.fields, "version": pending.version, "updated_at": moment, "pending": None}},
        )

    async def refuse_change(self, user_id: str, pending: PendingChange) -> None:
        """Drop a pending change; does nothing if somebody else has ended it."""
        await self._profiles.update_one(
            {"_id": user_id, "pending.version": pending.version},
            {
                "$set": {"version": pending.version, "pending": None},
                "$push": {"refused": {"$each": [pending.version], "$slice": -REMEMBERED_REFUSALS}},
            },
        )

    async def find_pending(self, *, opened_before: datetime, limit: int) -> list[Profile]:
        """Return the profiles whose change has been pending longest."""
        query = {"pending.opened_at": {"$lt": opened_before}}
        cursor = self._profiles.find(query).sort("pending.opened_at", 1).limit(limit)
        return [Profile.model_validate(document) async for document in cursor]
