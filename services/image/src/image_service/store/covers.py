"""What is known of subscriptions, and how much of a day's cover is used."""

from datetime import datetime, timedelta

from common.clock import utc_now
from common.mongo import Database, Document, DuplicateKeyError, ReturnDocument

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

    ``reserved`` has what each order was given in advance, and 0 once that is settled: a mark which refuses what was
    asked for before, but arrives late. Each call is one atomic update, so that orders at once never pass the limit
    together, and may be repeated.
    """

    def __init__(self, database: Database) -> None:
        self._quotas = database["quotas"]

    async def ensure_indexes(self) -> None:
        await self._quotas.create_index("expires_at", expireAfterSeconds=0)

    async def reserve(self, user_id: str, day: str, generation_id: str, samples: int, *, limit: int) -> bool:
        """Count ``samples`` pictures in advance; ``False`` if they do not all fit below ``limit``, or were settled."""
        slot = f"$reserved.{generation_id}"
        is_new = {"$eq": [{"$type": slot}, "missing"]}
        fits = {"$and": [is_new, {"$lte": [_USED, limit - samples]}]}
        return await self._update(
            f"{user_id}:{day}",
            generation_id,
            used={"$add": [_USED, {"$cond": [fits, samples, 0]}]},
            slot={"$cond": [fits, samples, {"$ifNull": [slot, "$$REMOVE"]}]},
        )

    async def count(self, user_id: str, day: str) -> int:
        """Return how many pictures are counted."""
        document = await self._quotas.find_one({"_id": f"{user_id}:{day}"}, {"used": 1})
        return 0 if document is None else int(document.get("used", 0))

    async def find_reserved(self, user_id: str, day: str, generation_id: str) -> bool:
        """Whether an order has its pictures counted, and not yet settled."""
        document = await self._quotas.find_one({"_id": f"{user_id}:{day}"}, {f"reserved.{generation_id}": 1})
        return document is not None and bool(document.get("reserved", {}).get(generation_id))

    async def settle(self, user_id: str, day: str, generation_id: str, *, delivered: int) -> None:
        """End a reservation: of what was counted in advance ``delivered`` stays. None can be made afterwards."""
        slot = {"$ifNull": [f"$reserved.{generation_id}", 0]}
        unused = {"$cond": [{"$gt": [slot, 0]}, {"$subtract": [slot, delivered]}, 0]}
        await self._update(f"{user_id}:{day}", generation_id, used={"$subtract": [_USED, unused]}, slot=0)

    async def _update(self, quota_id: str, generation_id: str, *, used: Document, slot: Document | int) -> bool:
        """Change a day's count and one order's part of it; returns whether it has one afterwards."""
        expires_at = {"$ifNull": ["$expires_at", utc_now() + timedelta(days=KEEP_DAYS)]}
        update = [{"$set": {"used": used, "reserved": {generation_id: slot}, "expires_at": expires_at}}]
        while True:
            try:
                document = await self._quotas.find_one_and_update(
                    {"_id": quota_id},
                    update,
                    # The marks of a day's other orders may be thousands.
                    {f"reserved.{generation_id}": 1},
                    upsert=True,
                    return_document=ReturnDocument.AFTER,
                )
            except DuplicateKeyError:
                continue  # made by another order in the same moment
            return bool((document or {}).get("reserved", {}).get(generation_id))


_USED: Document = {"$ifNull": ["$used", 0]}
