"""Reads the whole ledger in the order of its index, a batch at a time."""

from collections.abc import AsyncIterator, Sequence

from coin_service.audit.documents import FIELDS
from common.mongo import ASCENDING, DESCENDING, Database, Document

BATCH_ENTRIES = 500
"""Entries in memory at a time; working on so many takes a few milliseconds."""

UNIQUE_INDEXES = {
    "wallet": ("user_id", "seq"),
    "key": ("key",),
    "resolves": ("resolves",),
    "payment": ("payment_id",),
    "refunds": ("refunds", "refund_number"),
}
"""By name; each is one of the ledger's rules, kept by the database itself."""


class LedgerScan:
    """Reads only; entries that are added meanwhile are seen or not, never the later without the earlier."""

    def __init__(self, database: Database) -> None:
        self._entries = database["entries"]
        self._payments = database["payments"]
        self._checkouts = database["checkouts"]

    async def missing_indexes(self) -> list[str]:
        """Name the unique indexes that are not there, or not unique, or on other fields."""
        found = await self._entries.index_information()
        return [name for name, fields in UNIQUE_INDEXES.items() if not _is_unique(found.get(name), fields)]

    async def batches(self, *, is_indexed: bool) -> AsyncIterator[list[Document]]:
        """Yield all entries, each wallet's together and in their order.

        Args:
            is_indexed: Whether the index ``wallet`` is there; it is read backwards. Without it the server sorts.
        """
        cursor = self._entries.find({}, dict.fromkeys(FIELDS, 1), batch_size=BATCH_ENTRIES)
        cursor = cursor.sort([("user_id", DESCENDING), ("seq", ASCENDING)])
        cursor = cursor.hint("wallet") if is_indexed else cursor.allow_disk_use(True)
        while batch := await cursor.to_list(BATCH_ENTRIES):
            yield batch

    async def duplicates(self, field: str) -> AsyncIterator[Document]:
        """Yield the entries that share a value of ``field`` with another; the server sorts, on its disk if need be."""
        repeated = self._entries.aggregate(
            [
                {"$match": {field: {"$exists": True}}},
                {"$group": {"_id": f"${field}", "count": {"$sum": 1}}},
                {"$match": {"count": {"$gt": 1}}},
            ],
            allowDiskUse=True,
        )
        async for value in repeated:
            async for entry in self._entries.find({field: value["_id"]}, dict.fromkeys(FIELDS, 1)):
                yield entry

    async def unknown_payments(self, payment_ids: Sequence[str]) -> set[str]:
        """Return which of these Play purchases were never noted as to be consumed."""
        known = self._payments.find({"_id": {"$in": list(payment_ids)}}, {"_id": 1})
        return set(payment_ids) - {document["_id"] async for document in known}

    async def first_entries(self, payment_ids: Sequence[str]) -> dict[str, Document]:
        """Return the entries that credited these payments, by payment."""
        entries = self._entries.find({"payment_id": {"$in": list(payment_ids)}}, dict.fromkeys(FIELDS, 1))
        return {document["payment_id"]: document async for document in entries}

    async def captures(self, hold_keys: Sequence[str]) -> dict[str, Document]:
        """Return what ended these holds, captures or voids, by hold."""
        entries = self._entries.find({"resolves": {"$in": list(hold_keys)}}, dict.fromkeys(FIELDS, 1))
        return {document["resolves"]: document async for document in entries}

    async def checkouts(self, transaction_ids: Sequence[str]) -> dict[str, Document]:
        """Return what was ordered with these payments, by payment."""
        ordered = self._checkouts.find({"transaction_id": {"$in": list(transaction_ids)}})
        return {document["transaction_id"]: document async for document in ordered}

    async def uncredited_payments(self) -> AsyncIterator[str]:
        """Yield the purchases that were consumed at the vendor although no entry credits them."""
        cursor = self._payments.find({"consumed_at": {"$ne": None}}, {"_id": 1}, batch_size=BATCH_ENTRIES)
        while batch := await cursor.to_list(BATCH_ENTRIES):
            for payment_id in await self._uncredited([payment["_id"] for payment in batch]):
                yield payment_id

    async def uncredited_checkouts(self) -> AsyncIterator[str]:
        """Yield the payments of checkouts that are said to be credited although no entry credits them."""
        cursor = self._checkouts.find({"credited_at": {"$ne": None}}, {"transaction_id": 1}, batch_size=BATCH_ENTRIES)
        while batch := await cursor.to_list(BATCH_ENTRIES):
            names = [f"stripe:{str(checkout.get('transaction_id')).lower()}" for checkout in batch]
            for payment_id in await self._uncredited(names):
                yield payment_id

    async def _uncredited(self, payment_ids: Sequence[str]) -> list[str]:
        found = self._entries.find({"payment_id": {"$in": list(payment_ids)}}, {"payment_id": 1})
        credited = {entry["payment_id"] async for entry in found}
        return [payment_id for payment_id in payment_ids if payment_id not in credited]


def _is_unique(index: Document | None, fields: Sequence[str]) -> bool:
    return bool(index and index.get("unique") and tuple(name for name, _ in index["key"]) == tuple(fields))
