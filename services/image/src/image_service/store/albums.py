"""How many pictures each user has: exact, and as quick to read with a million as with ten."""

from collections.abc import Collection as Group
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.logging import get_logger
from common.mongo import Database, DuplicateKeyError, ReturnDocument

logger = get_logger(__name__)

MAX_EVENTS = 200
"""Counted by one write, and so the most that an album ever remembers."""

MAX_ATTEMPTS = 50

ADDED = "+"
DELETED = "-"


@dataclass(frozen=True, slots=True)
class Album:
    """A user's count.

    Attributes:
        total: Pictures counted, less those deleted.
        version: Of the document; whoever counts writes the next one.
        counted: The events that the last write counted; perhaps still marked in the pictures.
    """

    user_id: str
    total: int
    version: int
    counted: frozenset[str]


class AlbumStore:
    """The ``albums`` collection: one document a user, and the ``tally`` of the pictures it does not know of yet.

    A picture is written together with what it means for the total: ``tally`` holds ``+`` when it is inserted, and ``-``
    is added when it is deleted. These events never come twice. Whoever passes by counts all of a user's: adds them to
    the total in one compare-and-set that also notes which they were, then takes them off the pictures. A picture with
    events has its user's id in ``uncounted`` too, by which it is found: no other index fits that question.

    No event is lost, since it stays on its picture until it is counted; none is counted twice, however late a paused
    process wakes: the album is read before the pictures, so any event that was counted after that reading has made a
    newer version, and any counted before is either noted in the album or no longer on its picture.
    """

    def __init__(self, database: Database) -> None:
        self._albums = database["albums"]
        self._images = database["images"]

    async def ensure_indexes(self) -> None:
        await self._images.create_index("uncounted", sparse=True)

    async def total(self, user_id: str) -> int:
        """Count what is not counted yet; two reads if that is nothing."""
        for _ in range(MAX_ATTEMPTS):
            album = await self.open(user_id)
            events = await self._events(user_id)
            if album.counted & events or len(events) >= MAX_EVENTS:
                # Noted events may hide behind the limit; after this none is on a picture, so their note may go.
                await self._take_off(album.counted)
                events = await self._events(user_id)
            if not events:
                return album.total
            if await self._count(album, events):
                await self._take_off(events)
                if len(events) < MAX_EVENTS:
                    return album.total + _sum(events)
        # Each time somebody else was quicker, and has counted; what is left is counted by whoever comes next.
        logger.warning("an album is in great demand", user_id=user_id)
        return (await self.open(user_id)).total

    async def open(self, user_id: str) -> Album:
        """Return a user's album; made when it is first needed, of the pictures from before there were albums.

        It must exist before one of those is deleted, else that deletion would be counted for a picture that never was.
        """
        document = await self._albums.find_one({"_id": user_id})
        if document is None:
            uncounted = {"user_id": user_id, "deleted": False, "tally": {"$exists": False}}
            document = {
                "_id": user_id,
                "total": await self._images.count_documents(uncounted),
                "version": 1,
                "counted": [],
            }
            try:
                await self._albums.insert_one(document)
            except DuplicateKeyError:
                # Another process was quicker; by now it may have deleted some of what was counted here.
                return await self.open(user_id)
        return _to_album(document)

    async def _events(self, user_id: str) -> set[str]:
        """Return the user's events that are still on their pictures, up to about ``MAX_EVENTS``."""
        waiting = self._images.find({"uncounted": user_id}, {"tally": 1}).limit(MAX_EVENTS)
        documents = await waiting.to_list(None)
        return {sign + document["_id"] for document in documents for sign in document["tally"]}

    async def _count(self, album: Album, events: Group[str]) -> bool:
        document = await self._albums.find_one_and_update(
            {"_id": album.user_id, "version": album.version},
            {"$inc": {"total": _sum(events), "version": 1}, "$set": {"counted": sorted(events)}},
            return_document=ReturnDocument.AFTER,
        )
        return document is not None

    async def _take_off(self, events: Group[str]) -> None:
        for sign in (ADDED, DELETED):
            image_ids = [event[1:] for event in events if event[0] == sign]
            if image_ids:
                await self._images.update_many(
                    {"_id": {"$in": image_ids}},
                    [
                        {"$set": {"tally": {"$setDifference": ["$tally", [sign]]}}},
                        {"$set": {"uncounted": {"$cond": [{"$eq": ["$tally", []]}, "$$REMOVE", "$uncounted"]}}},
                    ],
                )


def _sum(events: Group[str]) -> int:
    return sum(1 if event[0] == ADDED else -1 for event in events)


def _to_album(document: Mapping[str, Any]) -> Album:
    return Album(document["_id"], document["total"], document["version"], frozenset(document["counted"]))
