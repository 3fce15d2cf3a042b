"""What a long history of pictures costs, beside a short one."""

import time
from collections.abc import Sequence
from typing import Any

import jwt
import load
from mesh import IMAGE, Mesh
from plans import plan
from pydantic import SecretStr
from raw import Address

from common.mongo import Database, open_database

LONG = 1_000_000
SHORT = 100
CHUNK = 20_000
LIMIT = 10


async def histories(mesh: Mesh, tokens: Sequence[str], seconds: float) -> None:
    """Show the first page, a page in the middle by cursor, and one picture, at 100 and at 1,000,000 pictures."""
    print("\nA user's history, by the number of pictures; the image service directly")
    users = [str(jwt.decode(token, options={"verify_signature": False})["sub"]) for token in tokens[-2:]]
    async with open_database(Address(SecretStr(mesh.mongo_uri), "pixelmint_image")) as database:
        for token, user_id, count in zip(tokens[-2:], users, (SHORT, LONG), strict=True):
            began = time.perf_counter()
            await _write(database, user_id, count)
            if count == LONG:
                print(f"  ({count} pictures written in {time.perf_counter() - began:.0f} s)")
            middle = await database["images"].find_one({"_id": _image_id(user_id, count // 2)})
            assert middle is not None
            paths = {"first page": f"/api/image/history?limit={LIMIT}", "one picture": f"/api/image/{middle['_id']}"}
            for name, path in paths.items():
                request = load.request(mesh.url(IMAGE), "GET", path, headers={"Authorization": f"Bearer {token}"})
                figures = await load.run(mesh.url(IMAGE), lambda *_, r=request: r, connections=1, seconds=seconds)
                print(f"  {count:8} pictures  {name:12}  {figures}")
            mine, seen = {"user_id": user_id, "deleted": False}, middle["created_at"]
            earlier = {"created_at": {"$lte": seen}, "$or": [{"created_at": {"$lt": seen}}, {"_id": {"$lt": "f"}}]}
            for name, criteria in (("first page", mine), ("by cursor", mine | earlier)):
                order = {"created_at": -1, "_id": -1}
                command = {"find": "images", "filter": criteria, "sort": order, "limit": LIMIT + 1}
                print(f"  {count:8} pictures  explain {name:10}  {await plan(database, command)}")
            count_command = {"find": "albums", "filter": {"_id": user_id}}
            print(f"  {count:8} pictures  explain total       {await plan(database, count_command)}")


def _image_id(user_id: str, number: int | None = None) -> str:
    """Return 24 hex characters, as ids are: of the user's the later part, then the number."""
    return user_id[8:] + ("" if number is None else f"{number:08}")


async def _write(database: Database, user_id: str, count: int) -> None:
    """Have the server itself write ``count`` pictures; a client would take minutes."""
    image: dict[str, Any] = {
        "_id": {"$concat": [_image_id(user_id), {"$substrCP": [{"$toString": {"$add": [10**8, "$n"]}}, 1, 8]}]},
        "user_id": {"$literal": user_id},
        "generation_id": {"$literal": user_id},
        "file": {"$concat": ["bench-", {"$toString": "$n"}, ".png"]},
        "created_at": {"$dateAdd": {"startDate": "$$NOW", "unit": "second", "amount": {"$subtract": ["$n", count]}}},
        "deleted": {"$literal": False},
        "prompt": {"$literal": "a lighthouse at dusk, long exposure, film grain"},
        "sha256": {"$literal": "0" * 64},
        **{name: {"$literal": None} for name in ("negative_prompt", "style_preset", "thumbnail", "blurhash")},
        **{name: {"$literal": 1024} for name in ("width", "height")},
        **{name: {"$literal": value} for name, value in (("steps", 30), ("cfg_scale", 7.0), ("seed", 7))},
        **{name: {"$literal": value} for name, value in (("size_bytes", 1_400_000), ("coins_used", 10))},
    }
    for first in range(1, count + 1, CHUNK):
        await database.aggregate(
            [
                {"$documents": [{"n": {"$range": [first, min(first + CHUNK, count + 1)]}}]},
                {"$unwind": "$n"},
                {"$project": image},
                {"$merge": {"into": "images", "whenMatched": "fail"}},
            ]
        ).to_list(1)
