"""Work that is due every so often, and done by one of the processes: whichever comes first."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from common.clock import utc_now
from common.mongo import Database, Document, DuplicateKeyError, ReturnDocument


class DutyLostError(Exception):
    """The lease ran out and another process has taken the duty over; whoever meets this stops."""


@dataclass(frozen=True, slots=True)
class Duty:
    """One turn of one process."""

    name: str
    turn: int
    """Counts all turns; what an earlier one writes late is refused."""
    result: Document
    """What the last finished turn left."""


class DutyStore:
    """The ``duties`` collection: one document a duty, with when it is due and what its last turn found."""

    def __init__(self, database: Database) -> None:
        self._duties = database["duties"]

    async def claim(self, name: str, *, lease_seconds: float) -> Duty | None:
        """Take up a duty if it is due; until the lease ends it is this process's."""
        now = utc_now()
        is_new = await self.find(name) is None
        try:
            document = await self._duties.find_one_and_update(
                {"_id": name, "due_at": {"$lte": now}},
                {"$set": {"due_at": now + timedelta(seconds=lease_seconds)}, "$inc": {"turn": 1}},
                upsert=is_new,
                return_document=ReturnDocument.AFTER,
            )
        except DuplicateKeyError:  # the first turn of all, and another process was quicker
            return None
        return None if document is None else Duty(name, document["turn"], document.get("result", {}))

    async def renew(self, duty: Duty, *, lease_seconds: float) -> None:
        """Keep a duty for longer.

        Raises:
            DutyLostError: Another process has it.
        """
        await self._set(duty, {"due_at": utc_now() + timedelta(seconds=lease_seconds)})

    async def finish(self, duty: Duty, result: Document, *, again_seconds: float) -> None:
        """Leave the result for all to see, and the duty until it is due again.

        Raises:
            DutyLostError: Another process has it.
        """
        now = utc_now()
        await self._set(duty, {"result": result, "finished_at": now, "due_at": now + timedelta(seconds=again_seconds)})

    async def find(self, name: str) -> Document | None:
        """Return a duty's document: ``result`` and ``finished_at`` are there once a turn was finished."""
        return await self._duties.find_one({"_id": name})

    async def _set(self, duty: Duty, fields: dict[str, Any]) -> None:
        done = await self._duties.update_one({"_id": duty.name, "turn": duty.turn}, {"$set": fields})
        if not done.matched_count:
            raise DutyLostError
