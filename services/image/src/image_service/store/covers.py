"""What is known of subscriptions, and how much of a day's cover is used."""

import contextlib
from datetime import datetime, timedelta

from common.clock import utc_now
from common.mongo import Database, DuplicateKeyError

KEEP_DAYS = 7
"""How long a day's count is kept after it; by then every generation of that day has ended."""


class EntitlementStore:
    """The ``entitlements`` collection: until when a user's subscription is known to cover, for when nobody can tell."""

    def __init__(self, database: Database) -> None:
        self._entitlements = database["entitlements"]

    async def find_until(self, user_id: str) -> datetime | None:
        document = await self._entitlements.find_one({"_id": user_id})
        return None if document is None else document["until"]

    async def set_until(self, user_id: str, until: datetime | None) -> None:
        """Remember it; ``None`` forgets. Writes only what changed."""
        if until == await self.find_until(user_id):
            return
        if until is None:
            await self._entitlements.delete_one({"_id": user_id})
        else:
            await self._entitlements.update_one({"_id": user_id}, {"$set": {"until": until}}, upsert=True)


class QuotaStore:
    """The ``quotas`` collection: one document a user and day (UTC) with the pictures covered.

    Reserving is one conditional update, so that orders at once never pass the limit together; each is reserved and
    settled at most once, because its id is in the document in between.
    """

    def __init__(self, database: Database) -> None:
        self._quotas = database["quotas"]

    async def ensure_indexes(self) -> None:
        await self._quotas.create_index("expires_at", expireAfterSeconds=0)

    async def reserve(self, user_id: str, day: str, generation_id: str, samples: int, *, limit: int) -> bool:
        """Count ``samples`` pictures in advance; ``False`` if they do not all fit below ``limit``."""
        quota_id = f"{user_id}:{day}"
        with contextlib.suppress(DuplicateKeyError):  # made by another order in the same moment
            await self._quotas.update_one(
                {"_id": quota_id},
                {"$setOnInsert": {"used": 0, "reserved": {}, "expires_at": utc_now() + timedelta(days=KEEP_DAYS)}},
                upsert=True,
            )
        slot = f"reserved.{generation_id}"
        result = await self._quotas.update_one(
            {"_id": quota_id, "used": {"$lte": limit - samples}, slot: {"$exists": False}},
            {"$inc": {"used": samples}, "$set": {slot: samples}},
        )
        return result.matched_count == 1

    async def settle(self, user_id: str, day: str, generation_id: str, samples: int, *, delivered: int) -> None:
        """End a reservation, if it is there: ``delivered`` pictures stay counted, the rest of ``samples`` does not."""
        slot = f"reserved.{generation_id}"
        await self._quotas.update_one(
            {"_id": f"{user_id}:{day}", slot: {"$exists": True}},
            {"$inc": {"used": delivered - samples}, "$unset": {slot: ""}},
        )
