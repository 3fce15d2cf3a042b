"""The ``generations`` collection: one document an order, and every step of it a compare-and-set on that document."""

from collections.abc import Collection as Group
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from common.clock import utc_now
from common.mongo import ASCENDING, Database, Document, DuplicateKeyError, ReturnDocument
from image_service.models import ORDER_SECONDS, Failure, Generation, State
from image_service.orders import Model


class GenerationStore:
    """Orders, from before anything happens to their end.

    While one is open, ``lease`` says who works on it; after ``lease.until`` another process may claim it, which
    makes ``lease.n`` one greater. Every step asks for the number that its taker was given, so that whoever was taken
    for dead, and is not, changes nothing any more. Leases are made and read by the database's clock, since those of
    two processes may differ.

    Args:
        database: The service's own.
        owner: This process's name in leases; another life of the process has another one. A lease without an owner is
            nobody's to renew.
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
        # And of two equal ones without a key, this one.
        await self._generations.create_index(
            [("user_id", ASCENDING), ("fingerprint", ASCENDING)], unique=True, partialFilterExpression={"joins": True}
        )
        await self._generations.create_index("lease.until", partialFilterExpression={"open": True})

    async def add(self, generation: Generation) -> Generation | None:
        """Insert ``generation``, leased to this process; ``None`` if another of the user's is in its place.

        It may be repeated: one that is there already is left as it is.
        """
        written = {"$mergeObjects": [{"$literal": _to_document(generation)}, {"lease": self._lease(1)}]}
        try:
            # Not a plain insert: that does not know the database's time.
            await self._generations.update_one(
                {"_id": generation.id, "state": {"$exists": False}}, [{"$replaceWith": written}], upsert=True
            )
        except DuplicateKeyError as error:
            if "_id" not in (error.details or {}).get("keyPattern", {}):
                return None
        return generation.model_copy(update={"lease_n": 1})

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

    async def find_joined(self, user_id: str, fingerprint: str) -> Generation | None:
        """Return the user's open generation that came without a key and asks for the same."""
        document = await self._generations.find_one({"user_id": user_id, "fingerprint": fingerprint, "joins": True})
        return None if document is None else _to_generation(document)

    async def versions(self, generation_ids: Group[str]) -> dict[str, int]:
        """Return how often each of these has changed."""
        found = self._generations.find({"_id": {"$in": list(generation_ids)}}, {"version": 1})
        documents = await found.limit(len(generation_ids)).to_list(None) if generation_ids else []
        return {document["_id"]: document.get("version", 0) for document in documents}

    async def move(self, generation: Generation, after: State, **changes: Any) -> Generation | None:
        """Take one step from where ``generation`` was read; ``None`` if it is not there any more, or not ours.

        Args:
            generation: As it was read: its state, its attempt, and the lease it was claimed with.
            after: The state that the step leads to.
            changes: Further fields, written in the same moment; models are written as documents.
        """
        fields = {name: _to_value(value) for name, value in changes.items()}
        document = await self._generations.find_one_and_update(
            {**_claimed(generation), "state": generation.state, "attempts": generation.attempts},
            {"$set": {"state": after, **fields}, "$inc": {"version": 1}},
            return_document=ReturnDocument.AFTER,
        )
        return None if document is None else _to_generation(document)

    async def set_drawn(self, generation: Generation, drawn: int) -> Generation | None:
        """Say how many pictures this attempt has so far; ``None`` if more are known, or it is over."""
        document = await self._generations.find_one_and_update(
            {**_claimed(generation), "state": "drawing", "attempts": generation.attempts, "drawn": {"$lt": drawn}},
            {"$set": {"drawn": drawn}, "$inc": {"version": 1}},
            return_document=ReturnDocument.AFTER,
        )
        return None if document is None else _to_generation(document)

    async def withdraw(self, user_id: str, generation_id: str, failure: Failure) -> Generation | None:
        """Give up a user's generation before the engine is asked, whoever works on it, and claim it.

        Returns:
            It, as good as failed; ``None`` if it is too late, or there is no such generation.
        """
        fields = {
            "state": "voiding",
            "failure": failure.model_dump(),
            "holds_key": False,
            "joins": False,
            "finished_at": utc_now(),
        }
        document = await self._generations.find_one_and_update(
            {"_id": generation_id, "user_id": user_id, "state": {"$in": ["accepted", "reserved"]}},
            [
                {
                    "$set": {
                        **{name: {"$literal": value} for name, value in fields.items()},
                        "version": {"$add": [{"$ifNull": ["$version", 0]}, 1]},
                        "lease": self._lease(_ONE_MORE),
                    }
                }
            ],
            return_document=ReturnDocument.AFTER,
        )
        return None if document is None else _to_generation(document)

    async def forget_prompt(self, generation_id: str) -> bool:
        """Remove the prompt of an order that has ended; ``False`` if it has not. Its fingerprint tells a repeat."""
        forgotten = {"$mergeObjects": ["$applied", {"negative_prompt": None}]}
        result = await self._generations.update_one(
            {"_id": generation_id, "open": False},
            [
                {
                    "$set": {
                        "order": {"$mergeObjects": ["$order", {"prompt": "", "negative_prompt": None}]},
                        "applied": {"$cond": [{"$eq": [{"$type": "$applied"}, "object"]}, forgotten, "$applied"]},
                    }
                }
            ],
        )
        return result.matched_count == 1

    async def renew(self, leases: Mapping[str, int]) -> set[str]:
        """Show that this process still works on these; returns those that it has lost.

        Args:
            leases: The number that each was claimed with, by id.
        """
        if not leases:
            return set()
        ours = [
            {"_id": generation_id, "lease.n": _number(n), "lease.owner": self._owner}
            for generation_id, n in leases.items()
        ]
        renewed = await self._generations.update_many({"open": True, "$or": ours}, [{"$set": {"lease": self._lease()}}])
        if renewed.matched_count == len(leases):
            return set()
        found = self._generations.find({"_id": {"$in": list(leases)}}, {"lease.n": 1})
        numbers = {
            document["_id"]: document.get("lease", {}).get("n", 0)
            for document in await found.limit(len(leases)).to_list(None)
        }
        return {generation_id for generation_id, n in leases.items() if numbers.get(generation_id, n) != n}

    async def hand_over(self, generation: Generation, *, seconds: float) -> None:
        """Let whoever comes first after ``seconds`` go on with a generation of ours."""
        # Without an owner: a renewal of ours that is under way at this moment must not take it back.
        lease = self._lease(seconds=seconds) | {"owner": None}
        await self._generations.update_one({**_claimed(generation), "open": True}, [{"$set": {"lease": lease}}])

    async def claim_stale(self, *, besides: Group[str] = (), decided: bool = False) -> Generation | None:
        """Take over one open generation whose owner has shown no life during its lease.

        Args:
            besides: Not one of these.
            decided: Only one that has nothing left to do than to charge or to give back: decided, or without time left.
        """
        stale: Document = {
            "open": True,
            "_id": {"$nin": list(besides)},
            "$expr": {"$lt": ["$lease.until", "$$NOW"]},
        }
        if decided:
            late = {"created_at": {"$lt": utc_now() - timedelta(seconds=ORDER_SECONDS)}}
            stale["$or"] = [{"state": {"$in": ["stored", "voiding"]}}, late]
        document = await self._generations.find_one_and_update(
            stale,
            [{"$set": {"lease": self._lease(_ONE_MORE)}}],
            sort=[("lease.until", ASCENDING)],
            return_document=ReturnDocument.AFTER,
        )
        return None if document is None else _to_generation(document)

    def _lease(self, n: int | Document | None = None, *, seconds: float | None = None) -> Document:
        """Write what a lease is from now on; without ``n`` it stays the same one."""
        milliseconds = round((self._lease_seconds if seconds is None else seconds) * 1000)
        lease: Document = {"owner": self._owner, "until": {"$add": ["$$NOW", milliseconds]}}
        return lease if n is None else lease | {"n": n}


_ONE_MORE: Document = {"$add": [{"$ifNull": ["$lease.n", 0]}, 1]}


def _claimed(generation: Generation) -> Document:
    return {"_id": generation.id, "lease.n": _number(generation.lease_n)}


def _number(lease_n: int) -> int | None:
    """Say what a lease's number is in a filter; leases from before they were numbered have none."""
    return lease_n or None


def _to_value(value: Any) -> Any:
    if isinstance(value, Model):
        return value.model_dump()
    if isinstance(value, list):
        return [_to_value(item) for item in value]
    return value


def _to_document(generation: Generation) -> Document:
    document = generation.model_dump(exclude={"lease_n"})
    document["_id"] = document.pop("id")
    return document


def _to_generation(document: Mapping[str, Any]) -> Generation:
    lease = document.get("lease", {})
    # Records from before changes were counted have no version.
    return Generation.model_validate({"version": 0, **document, "id": document["_id"], "lease_n": lease.get("n", 0)})
