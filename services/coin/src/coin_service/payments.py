"""The ``payments`` collection: what a vendor still has to be told of a payment whose coins are credited."""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Self

from pydantic import BaseModel, ConfigDict

from coin_service.providers import Payment, PlayItem
from common.clock import utc_now
from common.mongo import ASCENDING, Database, Document, DuplicateKeyError, IndexModel, ReturnDocument

LEASE_SECONDS = 60.0
"""How long one process may be at a consumption before another takes it up."""

MAX_BACKOFF_SECONDS = 600.0


class OpenPayment(BaseModel):
    """A Play purchase that is not known to be consumed yet."""

    model_config = ConfigDict(frozen=True)

    id: str
    product_id: str
    token: str
    attempts: int
    created_at: datetime

    @property
    def item(self) -> PlayItem:
        return PlayItem(self.product_id, self.token)

    @classmethod
    def from_document(cls, document: Document) -> Self:
        return cls.model_validate({**document, "id": document["_id"]})


class PaymentStore:
    """One document a Play purchase, written before its coins are credited, so that no crash forgets to consume it."""

    def __init__(self, database: Database) -> None:
        self._payments = database["payments"]

    async def ensure_schema(self) -> None:
        await self._payments.create_indexes(
            [IndexModel([("due_at", ASCENDING)], name="due", partialFilterExpression={"due_at": {"$exists": True}})]
        )

    async def add(self, payment: Payment, item: PlayItem) -> None:
        """Note that ``item`` is to be consumed; nothing changes if it was."""
        now = utc_now()
        note = {
            "product_id": item.product_id,
            "token": item.token,
            "quantity": item.quantity,
            "attempts": 0,
            "created_at": now,
            "due_at": now + timedelta(seconds=LEASE_SECONDS),
        }
        # A duplicate is a purchase that is consumed: the filter does not find it, and the insert collides.
        with suppress(DuplicateKeyError):
            await self._payments.update_one({"_id": payment.id, "consumed_at": None}, {"$set": note}, upsert=True)

    async def find_item(self, payment_id: str) -> PlayItem | None:
        """Return what was bought, consumed or not."""
        document = await self._payments.find_one({"_id": payment_id})
        if document is None:
            return None
        return PlayItem(document["product_id"], document["token"], document.get("quantity"))

    async def claim(self, payment_id: str | None = None) -> OpenPayment | None:
        """Take up a consumption for a lease: the one named, or any that is due."""
        now = utc_now()
        query: Document = {"due_at": {"$lte": now}} if payment_id is None else {"_id": payment_id, "consumed_at": None}
        document = await self._payments.find_one_and_update(
            query,
            {"$set": {"due_at": now + timedelta(seconds=LEASE_SECONDS)}, "$inc": {"attempts": 1}},
            sort=[("due_at", ASCENDING)],
            return_document=ReturnDocument.AFTER,
        )
        return None if document is None else OpenPayment.from_document(document)

    async def set_consumed(self, payment_id: str) -> None:
        await self._payments.update_one(
            {"_id": payment_id, "consumed_at": None}, {"$set": {"consumed_at": utc_now()}, "$unset": {"due_at": ""}}
        )

    async def set_due(self, payment: OpenPayment, *, seconds: float) -> None:
        """Try again later."""
        await self._payments.update_one(
            {"_id": payment.id, "consumed_at": None}, {"$set": {"due_at": utc_now() + timedelta(seconds=seconds)}}
        )

    async def remove(self, payment: OpenPayment) -> None:
        """Forget a purchase that was never credited, unless it has just been noted again."""
        await self._payments.delete_one({"_id": payment.id, "consumed_at": None, "created_at": payment.created_at})
