"""The ``returns`` collection: payments at Stripe of which money went back, or may, to be looked at again.

A list of what was newly made never tells that a dispute was won, an inquiry became a dispute, or a refund failed.
"""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Self

from pydantic import BaseModel, ConfigDict

from coin_service.providers import Standing
from common.clock import utc_now
from common.mongo import ASCENDING, Database, Document, DuplicateKeyError, IndexModel, ReturnDocument

LEASE_SECONDS = 60.0


class Return(BaseModel):
    """A payment, and what was last known of its money."""

    model_config = ConfigDict(frozen=True)

    id: str
    """As Stripe names the payment."""
    returned: int
    """In the currency's smallest unit."""
    undecided: bool
    """A dispute of it is open."""
    noted_at: datetime
    """When this was first known."""
    turn: int
    """Counts news and looks; who writes after a later one is refused."""
    looks: int
    """Since the last news."""

    @classmethod
    def from_document(cls, document: Document) -> Self:
        return cls.model_validate({**document, "id": document["_id"]})


class ReturnStore:
    """One document a payment; ``due_at`` says when it is looked at again.

    Args:
        database: The service's own.
        look_after_seconds: From news to the first look after them.
    """

    def __init__(self, database: Database, *, look_after_seconds: float) -> None:
        self._returns = database["returns"]
        self._look_after = timedelta(seconds=look_after_seconds)

    async def ensure_schema(self) -> None:
        """Make the index; harmless when it is there."""
        await self._returns.create_indexes([IndexModel([("due_at", ASCENDING)], name="due")])

    async def note(self, standing: Standing) -> None:
        """Remember that there is something to look at again, before any coins move; nothing changes unless it is news.

        Should a slower process note older news last, the next look finds out.
        """
        news = {"returned": standing.returned, "undecided": standing.undecided}
        query: Document = {"_id": standing.transaction_id, "$or": [{name: {"$ne": news[name]}} for name in news]}
        now = utc_now()
        change = {"$set": {**news, "noted_at": now, "looks": 0, "due_at": now + self._look_after}, "$inc": {"turn": 1}}
        # A duplicate is a payment that stands as before: the filter does not find it, and the insert collides.
        with suppress(DuplicateKeyError):
            await self._returns.update_one(query, change, upsert=any(news.values()))

    async def claim(self) -> Return | None:
        """Take up for a lease the payment that is due longest."""
        now = utc_now()
        document = await self._returns.find_one_and_update(
            {"due_at": {"$lte": now}},
            {"$set": {"due_at": now + timedelta(seconds=LEASE_SECONDS)}, "$inc": {"turn": 1, "looks": 1}},
            sort=[("due_at", ASCENDING)],
            return_document=ReturnDocument.AFTER,
        )
        return None if document is None else Return.from_document(document)

    async def set_due(self, payment: Return, *, seconds: float) -> None:
        """Look again later, unless there is news of it."""
        await self._returns.update_one(
            {"_id": payment.id, "turn": payment.turn}, {"$set": {"due_at": utc_now() + timedelta(seconds=seconds)}}
        )

    async def remove(self, payment: Return) -> None:
        """There is nothing more to look for, unless there is news of it."""
        await self._returns.delete_one({"_id": payment.id, "turn": payment.turn})
