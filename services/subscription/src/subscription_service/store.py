"""The ``subscriptions`` collection: one document a purchase token."""

from collections.abc import Iterable
from datetime import datetime

from common.mongo import ASCENDING, DESCENDING, Database, Document, DuplicateKeyError, IndexModel, ReturnDocument
from subscription_service.models import OPEN, Subscription, SubscriptionStatus, recheck_delay

MAX_OPEN = 20
"""More purchases than anybody has running at a time."""

_SAID_BY_GOOGLE = (
    "product_id",
    "status",
    "expires_at",
    "auto_renewing",
    "test_purchase",
    "acknowledged",
    "paid",
    "replaces",
    "verified_at",
    "recheck_at",
)


class SubscriptionStore:
    """Purchases and whose they are; the unique ``_id`` lets one account have each."""

    def __init__(self, database: Database) -> None:
        self._subscriptions = database["subscriptions"]

    async def ensure_indexes(self) -> None:
        await self._subscriptions.create_indexes(
            [
                IndexModel([("user_id", ASCENDING), ("status", ASCENDING), ("expires_at", DESCENDING)]),
                IndexModel([("user_id", ASCENDING), ("expires_at", DESCENDING)]),
                # Not partial by "$type": MongoDB 6 does not see that an equality lies within it, and reads everything.
                IndexModel([("recheck_at", ASCENDING)]),
                IndexModel([("replaces", ASCENDING)]),
            ]
        )

    async def find(self, subscription_id: str) -> Subscription | None:
        return _read(await self._subscriptions.find_one({"_id": subscription_id}))

    async def find_open(self, user_id: str) -> list[Subscription]:
        """The user's purchases that grant, or may do so again."""
        wanted = {"user_id": user_id, "status": {"$in": _values(OPEN)}}
        cursor = self._subscriptions.find(wanted, sort=[("expires_at", DESCENDING)], limit=MAX_OPEN)
        return [Subscription.model_validate(document) async for document in cursor]

    async def find_latest(self, user_id: str) -> Subscription | None:
        """The user's purchase that lasted longest, over or not."""
        return _read(await self._subscriptions.find_one({"user_id": user_id}, sort=[("expires_at", DESCENDING)]))

    async def find_successor(self, subscription_id: str) -> Subscription | None:
        """The purchase that took this one's place, if one has."""
        return _read(await self._subscriptions.find_one({"replaces": subscription_id, "paid": True}))

    async def add(self, subscription: Subscription) -> bool:
        """Insert a purchase; ``False`` if somebody has it already."""
        try:
            await self._subscriptions.insert_one(subscription.model_dump(by_alias=True))
        except DuplicateKeyError:
            return False
        return True

    async def set_said(self, subscription: Subscription) -> Subscription:
        """Write what Google said of a known purchase, and return the purchase as it is then.

        An answer to an earlier question than the one on record changes nothing, nor does any once the purchase is
        superseded.
        """
        document = subscription.model_dump()
        wanted = {
            "_id": subscription.id,
            "user_id": subscription.user_id,
            "superseded_by": None,
            "verified_at": {"$lte": subscription.verified_at},
        }
        said = {name: document[name] for name in _SAID_BY_GOOGLE}
        updated = await self._subscriptions.find_one_and_update(
            wanted, {"$set": said}, return_document=ReturnDocument.AFTER
        )
        stored = _read(updated) or await self.find(subscription.id)
        return stored if stored is not None else subscription

    async def set_acknowledged(self, subscription_id: str) -> None:
        done = {"$set": {"acknowledged": True, "recheck_at": None, "recheck_attempts": 0}}
        await self._subscriptions.update_one({"_id": subscription_id}, done)

    async def set_superseded(self, subscription_id: str, *, by: str) -> Subscription | None:
        """End a purchase because another one continues it; ``None`` if it is unknown or was superseded before."""
        ended = {"superseded_by": by, "status": SubscriptionStatus.EXPIRED.value, "recheck_at": None}
        return _read(
            await self._subscriptions.find_one_and_update(
                {"_id": subscription_id, "superseded_by": None},
                {"$set": ended},
                return_document=ReturnDocument.AFTER,
            )
        )

    async def claim_recheck(self, now: datetime) -> Subscription | None:
        """Take the purchase that waits longest to be asked about again; it is put off further by taking it.

        Each is taken by one process only, however many look at the same time.
        """
        due = {"recheck_at": {"$lte": now}}
        found = _read(await self._subscriptions.find_one(due, sort=[("recheck_at", ASCENDING)]))
        if found is None:
            return None
        attempts = found.recheck_attempts + 1
        put_off = {"recheck_at": now + recheck_delay(attempts), "recheck_attempts": attempts}
        claimed = await self._subscriptions.find_one_and_update(
            {"_id": found.id, "recheck_at": found.recheck_at}, {"$set": put_off}, return_document=ReturnDocument.AFTER
        )
        # Lost to another process: the next look finds what is left.
        return _read(claimed)


def _read(document: Document | None) -> Subscription | None:
    return None if document is None else Subscription.model_validate(document)


def _values(statuses: Iterable[SubscriptionStatus]) -> list[str]:
    return sorted(status.value for status in statuses)
