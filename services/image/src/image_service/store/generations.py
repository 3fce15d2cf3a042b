"""The ``generations`` collection: one document an order, and every step of it a compare-and-set on that document."""

from collections.abc import Collection as Group
from collections.abc import Mapping
from typing import Any

from common.mongo import ASCENDING, Database, Document, DuplicateKeyError, ReturnDocument
from image_service.models import Generation, Model, State


class GenerationStore:
    """Orders, from before anything happens to their end.

    While a generation is open, ``lease`` says who works on it; after ``lease.until`` another process may end it. Leases
    are made and read by the database's clock, since those of two processes may differ.

    Args:
        database: The service's own.
        owner: This process's name in leases; another life of the process has another one.
        lease_seconds: After how long without a renewal another process may take a generation over.
    """

    def __init__(self, database: Database, *, owner: str, lease_seconds: float) -> None:
        self._generations = database["generations"]
        self._owner = owner
        self._lease_seconds = lease_seconds

    async def ensure_indexes(self) -> None:
        # Of two requests with one key at once, this index lets one in.
        await self._generations.create_index(
            [("user_id", ASCENDING), ("key", ASCENDING)], unique=True, partialFilterExpression={"holds_key": True}
        )
        await self._generations.create_index("lease.until", partialFilterExpression={"open": True})

    async def add(self, generation: Generation) -> bool:
        """Insert ``generation``, leased to this process; ``False`` if another of the user's holds its key."""
        written = {"$mergeObjects": [{"$literal": _to_document(generation)}, {"lease": self._lease()}]}
        try:
            # Not a plain insert: that does not know the database's time.
            await self._generations.update_one({"_id": generation.id}, [{"$replaceWith": written}], upsert=True)
        except DuplicateKeyError:
            return False
        return True

    async def get(self, generation_id: str) -> Generation:
        generation = await self.find(generation_id)
        if generation is None:
            raise LookupError(f"generation {generation_id} is gone")
        return generation

    async def find(self, generation_id: str) -> Generation | None:
        document = await self._generations.find_one({"_id": generation_id})
        return None if document is None else _to_generation(document)

    async def find_by_key(self, user_id: str, key: str) -> Generation | None:
        """Return the user's open or succeeded generation under an idempotency key."""
        document = await self._generations.find_one({"user_id": user_id, "key": key, "holds_key": True})
        return None if document is None else _to_generation(document)

    async def move(
        self, generation_id: str, before: tuple[State, ...], after: State, **changes: Any
    ) -> Generation | None:
        """Take one step, if the generation still is where it is taken from; ``None`` if somebody was quicker.

        Args:
            generation_id: Which.
            before: The states from which the step may be taken.
            after: The state it leads to.
            changes: Further fields, written in the same moment; models are written as documents.
        """
        fields = {name: _to_value(value) for name, value in changes.items()}
        document = await self._generations.find_one_and_update(
            {"_id": generation_id, "state": {"$in": list(before)}},
            {"$set": {"state": after, **fields}},
            return_document=ReturnDocument.AFTER,
        )
        return None if document is None else _to_generation(document)

    async def renew(self, generation_ids: Group[str]) -> None:
        """Show that this process still works on these."""
        if generation_ids:
            await self._generations.update_many(
                {"_id": {"$in": list(generation_ids)}, "open": True, "lease.owner": self._owner},
                [{"$set": {"lease": self._lease()}}],
            )

    async def hand_over(self, generation_id: str, *, seconds: float) -> None:
        """Let whoever comes first after ``seconds`` go on with a generation."""
        await self._generations.update_one(
            {"_id": generation_id, "open": True, "lease.owner": self._owner},
            [{"$set": {"lease": self._lease(seconds)}}],
        )

    async def claim_stale(self, *, besides: Group[str] = ()) -> Generation | None:
        """Take over one open generation, not one of ``besides``, whose owner has shown no life during its lease."""
        document = await self._generations.find_one_and_update(
            {"open": True, "_id": {"$nin": list(besides)}, "$expr": {"$lt": ["$lease.until", "$$NOW"]}},
            [{"$set": {"lease": self._lease()}}],
            sort=[("lease.until", ASCENDING)],
            return_document=ReturnDocument.AFTER,
        )
        return None if document is None else _to_generation(document)

    def _lease(self, seconds: float | None = None) -> Document:
        milliseconds = round((self._lease_seconds if seconds is None else seconds) * 1000)
        return {"owner": self._owner, "until": {"$add": ["$$NOW", milliseconds]}}


def _to_value(value: Any) -> Any:
    if isinstance(value, Model):
        return value.model_dump()
    if isinstance(value, list):
        return [_to_value(item) for item in value]
    return value


def _to_document(generation: Generation) -> Document:
    document = generation.model_dump()
    document["_id"] = document.pop("id")
    return document


def _to_generation(document: Mapping[str, Any]) -> Generation:
    return Generation.model_validate({**document, "id": document["_id"]})
