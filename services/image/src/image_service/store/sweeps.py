"""The ``sweeps`` collection: how far each sweep of the storage has come, and whose turn it is."""

from dataclasses import dataclass
from datetime import timedelta

from common.clock import utc_now
from common.mongo import Database, DuplicateKeyError, ReturnDocument


@dataclass(frozen=True, slots=True)
class Sweep:
    """One turn of one process at one sweep."""

    name: str
    turn: int
    """Counts all turns; an earlier one can move nothing any more."""
    position: str | None
    """Where to go on; ``None`` at the beginning."""


class SweepStore:
    """One document a sweep, so that the replicas take turns."""

    def __init__(self, database: Database) -> None:
        self._sweeps = database["sweeps"]

    async def claim(self, name: str, *, lease_seconds: float) -> Sweep | None:
        """Take the next turn if it is due; nobody else does before the lease ends."""
        now = utc_now()
        is_new = await self._sweeps.find_one({"_id": name}) is None
        try:
            document = await self._sweeps.find_one_and_update(
                {"_id": name, "due_at": {"$lte": now}},
                {"$set": {"due_at": now + timedelta(seconds=lease_seconds)}, "$inc": {"turn": 1}},
                upsert=is_new,
                return_document=ReturnDocument.AFTER,
            )
        except DuplicateKeyError:  # the first turn of all, and another process was quicker
            return None
        return None if document is None else Sweep(name, document["turn"], document.get("position"))

    async def put_off(self, sweep: Sweep, position: str | None, *, seconds: float) -> None:
        """End a turn, if it is still this process's: the next one is due in ``seconds`` and begins at ``position``."""
        await self._sweeps.update_one(
            {"_id": sweep.name, "turn": sweep.turn},
            {"$set": {"position": position, "due_at": utc_now() + timedelta(seconds=seconds)}},
        )
