"""Whose the files in the storage are, by the ``generations`` and ``images`` collections."""

from collections.abc import Collection as Group
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.mongo import ASCENDING, Database
from image_service.storage import generation_of


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of some files."""

    orphans: list[str]
    """Nobody's: of a generation that ended without them, or whose picture was deleted."""
    unheard: list[str]
    """Those of them of which this database has never heard."""


class KnownFiles:
    """Tells whose a file is; reads two collections, and writes neither."""

    def __init__(self, database: Database) -> None:
        self._generations = database["generations"]
        self._images = database["images"]

    async def ensure_indexes(self) -> None:
        # Names from before they told their generation can be looked up in no other way.
        await self._images.create_index([("file", ASCENDING)])

    async def judge(self, files: Group[str]) -> Verdict:
        """Say which of these files may be removed.

        Raises:
            Exception: The database cannot be read; then nobody can say.
        """
        by_generation: dict[str, list[str]] = {}
        nameless = []
        for file in files:
            generation_id = generation_of(file)
            if generation_id is None:
                nameless.append(file)
            else:
                by_generation.setdefault(generation_id, []).append(file)
        # Generations first: one that has ended has written its pictures before.
        generations = await self._read_generations(list(by_generation))
        ended, unheard = [], list(nameless)
        for generation_id, names in by_generation.items():
            if generation_id not in generations:
                unheard += names
            elif not generations[generation_id]["open"]:
                ended += names
        kept = await self._read_kept(generations, unheard)
        unheard = [name for name in unheard if name not in kept]
        return Verdict([name for name in ended if name not in kept] + unheard, unheard)

    async def _read_generations(self, generation_ids: list[str]) -> Mapping[str, Mapping[str, Any]]:
        if not generation_ids:
            return {}
        found = self._generations.find({"_id": {"$in": generation_ids}}, {"open": 1, "pictures.image_id": 1})
        return {document["_id"]: document for document in await found.limit(len(generation_ids)).to_list(None)}

    async def _read_kept(self, generations: Mapping[str, Mapping[str, Any]], names: list[str]) -> set[str]:
        """Return the files of the pictures of these generations, and those of ``names`` that are pictures'."""
        image_ids = [picture["image_id"] for each in generations.values() for picture in each.get("pictures", [])]
        kept: set[str] = set()
        for query, most in (({"_id": {"$in": image_ids}}, len(image_ids)), ({"file": {"$in": names}}, len(names))):
            if not most:
                continue
            # With ``purge_at`` a deleted picture's files are another's to remove, when they are not needed any more.
            living = {**query, "$or": [{"deleted": False}, {"purge_at": {"$exists": True}}]}
            found = self._images.find(living, {"file": 1, "thumbnail": 1})
            for document in await found.limit(most).to_list(None):
                kept |= {document["file"], document.get("thumbnail") or document["file"]}
        return kept
