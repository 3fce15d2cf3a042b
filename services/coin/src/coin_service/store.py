"""The ``entries`` collection."""

from typing import Any

from coin_service.models import ENTRY_KINDS, ENTRY_TYPES, Entry, EntryType
from common.mongo import (
    ASCENDING,
    DESCENDING,
    Database,
    Document,
    DuplicateKeyError,
    IndexModel,
    Int64,
    ObjectId,
)

_LONG = {"bsonType": "long", "minimum": 0}

VALIDATOR: Document = {
    "$jsonSchema": {
        "bsonType": "object",
        "required": ["user_id", "seq", "kind", "key", "amount", "released", "balance", "held", "counts", "created_at"],
        "properties": {
            "user_id": {"bsonType": "string", "pattern": "^[0-9a-f]{24}$"},
            "seq": {"bsonType": "long", "minimum": 1},
            "kind": {"enum": list(ENTRY_KINDS)},
            "type": {"enum": list(ENTRY_TYPES)},
            "key": {"bsonType": "string"},
            "amount": _LONG,
            "released": _LONG,
            "balance": _LONG,
            "held": _LONG,
            "debt": _LONG,
            "taken_back": _LONG,
            "refund_number": {"bsonType": "long", "minimum": 1},
            "refunded": _LONG,
            "position": {"bsonType": "long", "minimum": 1},
            "type_position": {"bsonType": "long", "minimum": 1},
            "remaining_today": _LONG,
            "counts": {"bsonType": "object", "additionalProperties": _LONG},
            "earned": {
                "bsonType": "object",
                "additionalProperties": {"bsonType": "object", "properties": {"coins": _LONG}},
            },
            "created_at": {"bsonType": "date"},
        },
    }
}
"""Kept by the database itself, so that not even wrong code writes less than nothing or a fraction of a coin."""


class LedgerStore:
    """Append-only; each entry carries the wallet's state after it, so one insert is the whole commit."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._entries = database["entries"]

    async def ensure_schema(self) -> None:
        """Make the indexes and the validator; harmless when they are there."""
        optional = ("resolves", "payment_id", "adjusts", "refunds", "position", "type")
        only_with = {name: {name: {"$exists": True}} for name in optional}
        await self._entries.create_indexes(
            [
                # Two debits at once work out the same next ``seq``; this index lets one of them in.
                IndexModel([("user_id", ASCENDING), ("seq", DESCENDING)], name="wallet", unique=True),
                IndexModel("key", name="key", unique=True),
                # A hold ends once, captured or void.
                IndexModel("resolves", name="resolves", unique=True, partialFilterExpression=only_with["resolves"]),
                # A payment credits one wallet, once.
                IndexModel("payment_id", name="payment", unique=True, partialFilterExpression=only_with["payment_id"]),
                # Of two refunds computed from the same one before, a single one gets in.
                IndexModel(
                    [("refunds", ASCENDING), ("refund_number", DESCENDING)],
                    name="refunds",
                    unique=True,
                    partialFilterExpression=only_with["refunds"],
                ),
                IndexModel(
                    [("adjusts", ASCENDING), ("seq", DESCENDING)],
                    name="adjustments",
                    partialFilterExpression=only_with["adjusts"],
                ),
                IndexModel(
                    [("user_id", ASCENDING), ("position", DESCENDING)],
                    name="listed",
                    partialFilterExpression=only_with["position"],
                ),
                IndexModel(
                    [("user_id", ASCENDING), ("type", ASCENDING), ("type_position", DESCENDING)],
                    name="listed_by_type",
                    partialFilterExpression=only_with["type"],
                ),
            ]
        )
        await self._database.command("collMod", "entries", validator=VALIDATOR)

    async def append(self, entry: Entry) -> bool:
        """Insert ``entry``; ``False`` if another entry took its ``seq``, ``key``, hold, payment or refund first."""
        try:
            await self._entries.insert_one(to_document(entry))
        except DuplicateKeyError:
            return False
        return True

    async def find_last(self, user_id: str) -> Entry | None:
        document = await self._entries.find_one({"user_id": user_id}, sort=[("seq", DESCENDING)])
        return None if document is None else from_document(document)

    async def find(self, entry_id: str) -> Entry | None:
        document = await self._entries.find_one({"_id": ObjectId(entry_id)})
        return None if document is None else from_document(document)

    async def find_by_key(self, key: str) -> Entry | None:
        document = await self._entries.find_one({"key": key})
        return None if document is None else from_document(document)

    async def find_by_payment(self, payment_id: str) -> Entry | None:
        document = await self._entries.find_one({"payment_id": payment_id})
        return None if document is None else from_document(document)

    async def find_adjustment(self, payment_id: str, *, credit: bool = False) -> Entry | None:
        """Return the last entry that took coins of a payment back, or gave them again; or the last that gave."""
        query: Document = {"adjusts": payment_id} | ({"kind": "credit"} if credit else {})
        document = await self._entries.find_one(query, sort=[("seq", DESCENDING)])
        return None if document is None else from_document(document)

    async def find_hold(self, key: str) -> tuple[Entry | None, Entry | None]:
        """Return the hold of this key and what ended it; the void of a hold that never came is both."""
        documents = await self._entries.find({"$or": [{"key": key}, {"resolves": key}]}).to_list(2)
        entries = [from_document(document) for document in documents]
        hold = next((entry for entry in entries if entry.key == key), None)
        end = next((entry for entry in entries if entry.resolves == key), None)
        return hold, end

    async def find_last_refund(self, hold_key: str) -> Entry | None:
        """Return the newest entry that gave coins of a captured hold back; it carries how many in all."""
        document = await self._entries.find_one({"refunds": hold_key}, sort=[("refund_number", DESCENDING)])
        return None if document is None else from_document(document)

    async def list_entries(self, user_id: str, type_: EntryType | None, *, below: int, limit: int) -> list[Entry]:
        """Return listed entries with a position under ``below``, newest first.

        Positions have no gaps, so a page is a range of them: the millionth costs what the first costs.
        """
        name = "position" if type_ is None else "type_position"
        query: Document = {"user_id": user_id, name: {"$lt": Int64(below), "$gte": Int64(max(1, below - limit))}}
        if type_ is not None:
            query["type"] = type_
        documents = await self._entries.find(query).sort(name, DESCENDING).limit(limit).to_list(limit)
        return [from_document(document) for document in documents]


def to_document(entry: Entry) -> Document:
    """Write an entry: absent fields instead of nulls (the partial indexes look at that), every number 64 bits."""
    document = entry.model_dump(exclude_none=True)
    return {"_id": ObjectId(document.pop("id")), **{name: _long(value) for name, value in document.items()}}


def from_document(document: Document) -> Entry:
    """Read an entry."""
    return Entry.model_validate({**document, "id": str(document["_id"])})


def _long(value: Any) -> Any:
    if type(value) is int:
        return Int64(value)
    if type(value) is dict:
        return {name: _long(inner) for name, inner in value.items()}
    return value
