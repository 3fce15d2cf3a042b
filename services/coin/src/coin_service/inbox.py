"""What vendors tell us of money: kept before it is answered, worked off by whichever process comes first."""

import json
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict

from common.clock import utc_now
from common.mongo import ASCENDING, DESCENDING, Database, Document, DuplicateKeyError, IndexModel, ReturnDocument

LEASE_SECONDS = 10.0
"""How long a message waits for a process that was killed; who is at it renews its lease in time."""

KEEP_DONE_SECONDS = 90 * 86_400
"""Vendors repeat a message for some days at most; one that is not done is kept for ever."""

Source = Literal["stripe", "google_play", "admob"]
State = Literal["received", "retry", "done", "dead"]


class Message(BaseModel):
    """One thing a vendor said. It is a hint where to look: what is true is asked of the vendor again."""

    model_config = ConfigDict(frozen=True)

    id: str
    """``source:`` and the vendor's own id, so that a repeat of it collides."""
    source: Source
    type: str
    """As the vendor calls it."""
    body: str
    """JSON, without secrets and personal data."""
    state: State
    attempts: int
    """How often it was taken up; who writes after a later one is refused."""
    failures: int = 0
    """How often something went wrong since it came, or was replayed; that it had to wait is no failure."""
    received_at: datetime
    next_at: datetime | None = None
    """When it is due, or when the lease of who is at it ends; ``None`` once it is done or dead."""
    error: str | None = None
    """The code of what went wrong last."""
    outcome: str | None = None
    """What came of it, where its source has more than one answer."""

    @property
    def content(self) -> Any:
        return json.loads(self.body)

    @classmethod
    def new(cls, source: Source, event_id: str, type_: str, content: Any) -> Self:
        """Make one that is due at once."""
        now = utc_now()
        return cls(
            id=f"{source}:{event_id}",
            source=source,
            type=type_,
            body=json.dumps(content),
            state="received",
            attempts=0,
            received_at=now,
            next_at=now,
        )

    @classmethod
    def from_document(cls, document: Document) -> Self:
        return cls.model_validate({**document, "id": document["_id"]})


class InboxStore:
    """The ``inbox`` collection: received → done | retry → dead."""

    def __init__(self, database: Database, *, lease_seconds: float = LEASE_SECONDS) -> None:
        self.lease_seconds = lease_seconds
        self._messages = database["inbox"]

    async def ensure_schema(self) -> None:
        """Make the indexes; harmless when they are there."""
        await self._messages.create_indexes(
            [
                IndexModel(
                    [("next_at", ASCENDING)], name="due", partialFilterExpression={"next_at": {"$exists": True}}
                ),
                IndexModel([("state", ASCENDING), ("received_at", DESCENDING)], name="listed"),
                IndexModel("done_at", name="forget", expireAfterSeconds=KEEP_DONE_SECONDS),
            ]
        )

    async def add(self, source: Source, event_id: str, type_: str, content: Any) -> bool:
        """Keep a message; ``False`` if it was kept before. When this returns, it may be answered."""
        return await self._insert(Message.new(source, event_id, type_, content)) is not None

    async def add_claimed(self, source: Source, event_id: str, type_: str, content: Any) -> Message | None:
        """Keep a message and take it up at once; ``None`` if it was kept before."""
        message = Message.new(source, event_id, type_, content)
        ends = message.received_at + timedelta(seconds=self.lease_seconds)
        return await self._insert(message.model_copy(update={"attempts": 1, "next_at": ends}))

    async def claim(self, message_id: str | None = None) -> Message | None:
        """Take up a message for a lease: the one named, or the one that is due longest."""
        now = utc_now()
        query: Document = {"next_at": {"$lte": now}} | ({"_id": message_id} if message_id else {})
        return self._message(
            await self._messages.find_one_and_update(
                query,
                {"$set": {"next_at": now + timedelta(seconds=self.lease_seconds)}, "$inc": {"attempts": 1}},
                sort=[("next_at", ASCENDING)],
                return_document=ReturnDocument.AFTER,
            )
        )

    async def renew(self, message: Message) -> bool:
        """Keep a message for another lease; ``False`` if it is not this process's any more."""
        ends = utc_now() + timedelta(seconds=self.lease_seconds)
        kept = await self._messages.update_one(self._mine(message), {"$set": {"next_at": ends}})
        return bool(kept.matched_count)

    async def set_done(self, message: Message) -> None:
        """Done is done, whoever says so: handlers may be repeated."""
        await self._messages.update_one(
            {"_id": message.id},
            {"$set": {"state": "done", "done_at": utc_now()}, "$unset": {"next_at": "", "error": ""}},
        )

    async def set_outcome(self, message: Message, outcome: str) -> None:
        """Note for an operator what came of a message that is about to be done."""
        await self._messages.update_one({"_id": message.id}, {"$set": {"outcome": outcome}})

    async def set_retry(self, message: Message, *, seconds: float, error: str, failures: int) -> None:
        """Try again later, unless another process has taken it up meanwhile."""
        next_at = utc_now() + timedelta(seconds=seconds)
        change = {"state": "retry", "next_at": next_at, "error": error, "failures": failures}
        await self._messages.update_one(self._mine(message), {"$set": change})

    async def set_dead(self, message: Message, *, error: str) -> None:
        """Give it up until an operator replays it."""
        change: Document = {"$set": {"state": "dead", "error": error}, "$unset": {"next_at": ""}}
        await self._messages.update_one(self._mine(message), change)

    async def find(self, message_id: str) -> Message | None:
        return self._message(await self._messages.find_one({"_id": message_id}))

    async def list_messages(self, state: State | None, *, limit: int) -> list[Message]:
        """Return the newest messages, of one state or of all."""
        query: Document = {"state": state} if state else {"state": {"$in": ["received", "retry", "done", "dead"]}}
        documents = await self._messages.find(query).sort("received_at", DESCENDING).limit(limit).to_list(limit)
        return [Message.from_document(document) for document in documents]

    async def replay(self, message_id: str) -> bool:
        """Make a message due again, whatever became of it; ``False`` if there is none."""
        change = {"state": "received", "failures": 0, "next_at": utc_now()}
        found = await self._messages.update_one(
            {"_id": message_id}, {"$set": change, "$unset": {"done_at": "", "error": ""}}
        )
        return bool(found.matched_count)

    async def _insert(self, message: Message) -> Message | None:
        document = message.model_dump(exclude={"id"}, exclude_none=True)
        with suppress(DuplicateKeyError):
            await self._messages.insert_one({"_id": message.id, **document})
            return message
        return None

    @staticmethod
    def _mine(message: Message) -> Document:
        return {"_id": message.id, "attempts": message.attempts, "state": {"$in": ["received", "retry"]}}

    @staticmethod
    def _message(document: Document | None) -> Message | None:
        return None if document is None else Message.from_document(document)
