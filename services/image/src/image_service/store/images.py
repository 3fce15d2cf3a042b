"""The ``images`` collection: one document a picture that was charged or covered; never its bytes."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from common.clock import utc_now
from common.errors import ValidationFailedError
from common.mongo import ASCENDING, DATABASE_UNAVAILABLE, DESCENDING, Database, Document, DuplicateKeyError
from common.pagination import PageQuery, decode_cursor, encode_cursor
from common.schemas import is_object_id
from image_service.models import DeletedImage, Image
from image_service.store.albums import ADDED, DELETED, AlbumStore

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class ImageStore:
    """Users' pictures.

    A deleted one leaves a mark under its id, without its prompt, so that no late repeat of the insert brings it back;
    ``purge_at`` is there while its files may be.
    """

    def __init__(self, database: Database) -> None:
        self._images = database["images"]
        self._albums = AlbumStore(database)

    async def ensure_indexes(self) -> None:
        await self._images.create_index(
            [("user_id", ASCENDING), ("deleted", ASCENDING), ("created_at", DESCENDING), ("_id", DESCENDING)]
        )
        await self._images.create_index("purge_at", sparse=True)
        await self._albums.ensure_indexes()

    async def add_all(self, images: Sequence[Image]) -> None:
        """Insert and count one user's pictures; those already there, or deleted since, stay as they are."""
        for image in images:
            document = image.model_dump()
            document["_id"] = document.pop("id")
            try:
                await self._images.insert_one(
                    {**document, "deleted": False, "tally": [ADDED], "uncounted": image.user_id}
                )
            except DuplicateKeyError:
                continue
        for user_id in {image.user_id for image in images}:
            await self.total(user_id)

    async def find(self, user_id: str, image_id: str) -> Image | None:
        if not is_object_id(image_id):
            return None
        document = await self._images.find_one({"_id": image_id.lower(), "user_id": user_id, "deleted": False})
        return None if document is None else _to_image(document)

    async def find_all(self, user_id: str, image_ids: Sequence[str]) -> list[Image]:
        """Return those of the user's pictures that are not deleted, in the order of ``image_ids``."""
        query = {"_id": {"$in": list(image_ids)}, "user_id": user_id, "deleted": False}
        documents = await self._images.find(query).limit(len(image_ids)).to_list(None) if image_ids else []
        found = {document["_id"]: _to_image(document) for document in documents}
        return [found[image_id] for image_id in image_ids if image_id in found]

    async def total(self, user_id: str) -> int:
        """Return how many pictures a user has."""
        return await self._albums.total(user_id)

    async def page(self, user_id: str, query: PageQuery) -> tuple[list[Image], str | None]:
        """Return one page, newest first, and the cursor of the next one if there is one.

        Raises:
            ValidationFailedError: The cursor is not one of this list.
        """
        criteria: Document = {"user_id": user_id, "deleted": False}
        if query.cursor is not None:
            moment, image_id = _read_cursor(query.cursor)
            # The first bound is where the index is entered; the second leaves out what was seen in that millisecond.
            criteria["created_at"] = {"$lte": moment}
            criteria["$or"] = [{"created_at": {"$lt": moment}}, {"_id": {"$lt": image_id}}]
        found = self._images.find(criteria).sort([("created_at", DESCENDING), ("_id", DESCENDING)])
        documents = await found.skip(query.skip).limit(query.limit + 1).to_list(None)
        images = [_to_image(document) for document in documents[: query.limit]]
        if len(documents) <= query.limit:
            return images, None
        last = images[-1]
        return images, encode_cursor((last.created_at - _EPOCH) // _MILLISECOND, last.id)

    async def delete(self, user_id: str, image_id: str, *, retry_seconds: float) -> DeletedImage | None:
        """Take a picture out of every list at once; returns what is left of it, ``None`` if there is no such picture.

        Args:
            user_id: Whose it must be.
            image_id: Which.
            retry_seconds: After this long the removal of its files is somebody else's to repeat.
        """
        if not is_object_id(image_id):
            return None
        await self._albums.open(user_id)
        now = utc_now()
        document = await self._images.find_one_and_update(
            {"_id": image_id.lower(), "user_id": user_id, "deleted": False},
            {
                "$push": {"tally": DELETED},
                "$set": {
                    "deleted": True,
                    "deleted_at": now,
                    "purge_at": now + timedelta(seconds=retry_seconds),
                    "uncounted": user_id,
                },
                "$unset": {"prompt": "", "negative_prompt": ""},
            },
        )
        deleted = None if document is None else _to_deleted(document)
        if deleted is not None:
            with suppress(*DATABASE_UNAVAILABLE):  # it is deleted all the same, and counted when somebody asks
                await self.total(user_id)
        return deleted

    async def set_purged(self, image_id: str) -> None:
        """Nothing of the picture is left."""
        await self._images.update_one({"_id": image_id, "deleted": True}, {"$unset": {"purge_at": ""}})

    async def claim_purge(self, *, retry_seconds: float) -> DeletedImage | None:
        """Return one deleted picture of which something may be left, and put off its next turn."""
        now = utc_now()
        document = await self._images.find_one_and_update(
            {"purge_at": {"$lte": now}},
            {"$set": {"purge_at": now + timedelta(seconds=retry_seconds)}},
            sort=[("purge_at", ASCENDING)],
        )
        return None if document is None else _to_deleted(document)

    async def set_preview(self, image: Image, *, thumbnail: str, blurhash: str, width: int, height: int) -> bool:
        """Give a picture its thumbnail; ``False`` if it has one by now, or is deleted."""
        result = await self._images.update_one(
            {"_id": image.id, "deleted": False, "thumbnail": None},
            {"$set": {"thumbnail": thumbnail, "blurhash": blurhash, "width": width, "height": height}},
        )
        return result.matched_count == 1


def _read_cursor(cursor: str) -> tuple[datetime, str]:
    milliseconds, image_id = decode_cursor(cursor, int, str)
    try:
        return _EPOCH + int(milliseconds) * _MILLISECOND, str(image_id)
    except OverflowError as error:
        raise ValidationFailedError.of("cursor", "is not a cursor of this list") from error


def _to_image(document: Mapping[str, Any]) -> Image:
    return Image.model_validate({**document, "id": document["_id"]})


def _to_deleted(document: Mapping[str, Any]) -> DeletedImage:
    return DeletedImage.model_validate({**document, "id": document["_id"]})
