"""The ``checkouts`` collection: what was asked to be paid, written before the vendor is."""

from datetime import datetime, timedelta
from typing import Self

from pydantic import BaseModel, ConfigDict

from common.clock import utc_now
from common.mongo import ASCENDING, Database, Document, DuplicateKeyError, IndexModel, ReturnDocument, new_id

LEASE_SECONDS = 60.0
KEEP_SECONDS = 90 * 86_400


class Checkout(BaseModel):
    """One order of coins; its id makes the vendor's idempotency key."""

    model_config = ConfigDict(frozen=True)

    id: str
    key: str
    """Of the request, scoped to its user."""
    fingerprint: str | None = None
    user_id: str
    coins: int
    price: int
    """In the currency's smallest unit."""
    currency: str
    created_at: datetime
    transaction_id: str | None = None
    """The PaymentIntent, once there is one. Its ``client_secret`` is asked for anew each time, never kept."""
    attempts: int = 0

    @classmethod
    def from_document(cls, document: Document) -> Self:
        return cls.model_validate({**document, "id": document["_id"]})


class CheckoutStore:
    """One document a checkout; ``due_at`` says when the sweeper looks at it, as long as that is worth while."""

    def __init__(self, database: Database) -> None:
        self._checkouts = database["checkouts"]

    async def ensure_schema(self) -> None:
        """Make the indexes; harmless when they are there."""
        only_with = {name: {name: {"$exists": True}} for name in ("transaction_id", "due_at")}
        await self._checkouts.create_indexes(
            [
                IndexModel("key", name="key", unique=True),
                IndexModel(
                    "transaction_id",
                    name="transaction",
                    unique=True,
                    partialFilterExpression=only_with["transaction_id"],
                ),
                IndexModel([("due_at", ASCENDING)], name="due", partialFilterExpression=only_with["due_at"]),
                IndexModel("created_at", name="forget", expireAfterSeconds=KEEP_SECONDS),
            ]
        )

    async def add(
        self, *, key: str, fingerprint: str | None, user_id: str, coins: int, price: int, currency: str
    ) -> None:
        """Write an order down; nothing changes if its key is taken."""
        now = utc_now()
        checkout = Checkout(
            id=new_id(),
            key=key,
            fingerprint=fingerprint,
            user_id=user_id,
            coins=coins,
            price=price,
            currency=currency,
            created_at=now,
        )
        document = checkout.model_dump(exclude_none=True)
        try:
            await self._checkouts.insert_one({"_id": document.pop("id"), **document})
        except DuplicateKeyError:
            return

    async def find_by_key(self, key: str) -> Checkout | None:
        return self._checkout(await self._checkouts.find_one({"key": key}))

    async def find_by_payment(self, transaction_id: str) -> Checkout | None:
        return self._checkout(await self._checkouts.find_one({"transaction_id": transaction_id}))

    async def set_payment(self, checkout: Checkout, transaction_id: str, *, sweep_after_seconds: float) -> None:
        due_at = utc_now() + timedelta(seconds=sweep_after_seconds)
        await self._checkouts.update_one(
            {"_id": checkout.id}, {"$set": {"transaction_id": transaction_id, "due_at": due_at}}
        )

    async def remove(self, checkout: Checkout) -> None:
        """Forget an order that the vendor refused: it may be corrected and sent again under its key."""
        await self._checkouts.delete_one({"_id": checkout.id, "transaction_id": None})

    async def claim(self) -> Checkout | None:
        """Take up for a lease a checkout that is due to be looked at."""
        now = utc_now()
        return self._checkout(
            await self._checkouts.find_one_and_update(
                {"due_at": {"$lte": now}},
                {"$set": {"due_at": now + timedelta(seconds=LEASE_SECONDS)}, "$inc": {"attempts": 1}},
                sort=[("due_at", ASCENDING)],
                return_document=ReturnDocument.AFTER,
            )
        )

    async def set_due(self, checkout: Checkout, *, seconds: float) -> None:
        """Look again later."""
        await self._checkouts.update_one(
            {"_id": checkout.id, "attempts": checkout.attempts, "due_at": {"$exists": True}},
            {"$set": {"due_at": utc_now() + timedelta(seconds=seconds)}},
        )

    async def set_credited(self, checkout: Checkout) -> None:
        """Its payment stands in the ledger; there is nothing more to look for."""
        await self._checkouts.update_one(
            {"_id": checkout.id}, {"$set": {"credited_at": utc_now()}, "$unset": {"due_at": ""}}
        )

    async def set_closed(self, checkout: Checkout) -> None:
        """Nobody is going to pay it; there is nothing more to look for."""
        await self._checkouts.update_one({"_id": checkout.id}, {"$unset": {"due_at": ""}})

    @staticmethod
    def _checkout(document: Document | None) -> Checkout | None:
        return None if document is None else Checkout.from_document(document)
