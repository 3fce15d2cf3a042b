"""What MongoDB gives one client that does what coins need to move, and nothing else.

A deduct finds the wallet's last entry and inserts the next one. A hold and its capture are two such moves, and the
capture finds its hold by key. Documents, indexes, validator and concerns are the ledger's own; no rule is checked.

``python bench/raw.py URI WORKERS SECONDS`` prints deducts a second and holds with their captures a second; a process of
its own, as the coin service is one.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import uvloop
from pydantic import SecretStr

from coin_service.models import Draft, Entry
from coin_service.store import LedgerStore, to_document
from common.mongo import Collection, Document, Int64, ObjectId, new_id, open_database

ONE, NOTHING = Int64(1), Int64(0)
STATE = ("user_id", "balance", "held", "debt", "counts", "earned", "created_at")
"""What an entry carries on from the one before it."""

Operation = Callable[[Collection, str], Awaitable[None]]


@dataclass(frozen=True)
class Address:
    """Where the ledger of a run is; opened as the service opens it, with the same concerns."""

    mongo_uri: SecretStr
    mongo_database: str
    service_name: str = "bench"


async def deduct(entries: Collection, user_id: str) -> None:
    await _append(entries, user_id, kind="debit", type="deduct", key=f"{user_id}:entry:{new_id()}")


async def hold_and_capture(entries: Collection, user_id: str) -> None:
    name = new_id()
    await _append(entries, user_id, kind="hold", key=f"{user_id}:hold:{name}")
    hold: Document = await entries.find_one({"key": f"{user_id}:hold:{name}"}) or {}
    await _append(
        entries, user_id, kind="capture", type="generate", key=f"{user_id}:capture:{name}", resolves=hold["key"]
    )


async def _append(entries: Collection, user_id: str, **change: Any) -> None:
    last: Document = await entries.find_one({"user_id": user_id}, sort=[("seq", -1)]) or {}
    seq = Int64(last["seq"] + 1)
    numbers = {"seq": seq, "amount": ONE, "released": NOTHING, "debt_change": NOTHING}
    listed = {"position": seq, "type_position": seq} if "type" in change else {}
    await entries.insert_one({"_id": ObjectId()} | {name: last[name] for name in STATE} | numbers | listed | change)


async def measure(entries: Collection, operation: Operation, workers: int, seconds: float) -> float:
    """Return operations a second, each worker on a wallet of its own."""
    done = 0

    async def work(user_id: str) -> None:
        nonlocal done
        draft = Draft(kind="credit", type="bonus", key=new_id(), amount=1_000_000)
        await entries.insert_one(to_document(Entry.following(None, draft, entry_id=new_id(), user_id=user_id)))
        while time.perf_counter() < ends:
            await operation(entries, user_id)
            done += 1

    began = time.perf_counter()
    ends = began + seconds
    await asyncio.gather(*(work(new_id()) for _ in range(workers)))
    return done / (time.perf_counter() - began)


async def main(uri: str, workers: int, seconds: float) -> None:
    async with open_database(Address(SecretStr(uri), f"bench_raw_{new_id()}")) as database:
        await LedgerStore(database).ensure_schema()
        for operation in (deduct, hold_and_capture):
            print(await measure(database["entries"], operation, workers, seconds))
        await database.client.drop_database(database.name)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
