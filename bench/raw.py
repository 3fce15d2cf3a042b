"""What MongoDB gives one client that does what a move of coins needs, one find and one insert, and nothing else.

``python bench/raw.py URI WORKERS SECONDS`` prints moves a second; a process of its own, as the coin service is one.
"""

import asyncio
import sys
import time
from dataclasses import dataclass
from typing import Any

import uvloop
from pydantic import SecretStr

from coin_service.models import Draft, Entry
from coin_service.store import LedgerStore, to_document
from common.mongo import Database, Int64, ObjectId, new_id, open_database


@dataclass(frozen=True)
class Address:
    """Where the ledger of a run is; opened as the service opens it, with the same concerns."""

    mongo_uri: SecretStr
    mongo_database: str
    service_name: str = "bench"


async def measure(database: Database, workers: int, seconds: float) -> float:
    """Return moves a second, each worker on a wallet of its own."""
    await LedgerStore(database).ensure_schema()
    entries = database["entries"]
    moves = 0

    async def work(user_id: str) -> None:
        nonlocal moves
        draft = Draft(kind="credit", type="bonus", key=new_id(), amount=1_000_000)
        await entries.insert_one(to_document(Entry.following(None, draft, entry_id=new_id(), user_id=user_id)))
        while time.perf_counter() < ends:
            last: dict[str, Any] = await entries.find_one({"user_id": user_id}, sort=[("seq", -1)]) or {}
            change = {"_id": ObjectId(), "seq": Int64(last["seq"] + 1), "key": f"{user_id}:entry:{new_id()}"}
            await entries.insert_one(last | change | {"kind": "debit", "type": "deduct", "amount": Int64(1)})
            moves += 1

    began = time.perf_counter()
    ends = began + seconds
    await asyncio.gather(*(work(new_id()) for _ in range(workers)))
    return moves / (time.perf_counter() - began)


async def main(uri: str, workers: int, seconds: float) -> None:
    async with open_database(Address(SecretStr(uri), f"bench_raw_{new_id()}")) as database:
        print(await measure(database, workers, seconds))
        await database.client.drop_database(database.name)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
