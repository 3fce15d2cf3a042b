"""How fast coins move, beside what MongoDB alone would give, and what a long history costs."""

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jwt
import load
from mesh import COIN, Mesh
from plans import plan
from pydantic import SecretStr
from raw import Address

from common.clock import utc_now
from common.mongo import Database, open_database
from common.service_auth import ServiceTokenSigner

LONG = 1_000_000
SHORT = 100
CHUNK = 20_000
TOKEN_SECONDS = 10

TOLD_LINES = 10
"""Of the audit, from its end: it names every entry that is wrong, and the verdict is last."""

WARM_UP = 4
"""Requests of each user that are not timed."""


async def ledger(mesh: Mesh, tokens: Sequence[str], seconds: float) -> None:
    """Show deducts and hold+capture at 1, 8 and 64 users, one wallet hit by 32 callers, and long histories."""
    users = _user_ids(tokens)
    print("\nOne coin process over HTTP, beside the same operations of MongoDB from one client (raw):")
    print("  deduct        find last, insert")
    print("  hold+capture  find last, insert; find hold, find last, insert")
    for count in (1, 8, 64):
        before, lines = await _raw(mesh, count, seconds), []
        for name, parts, request_of in (
            ("deduct", 1, _deducts(mesh, tokens[:count])),
            ("hold+capture", 2, _holds(mesh, users[:count])),
        ):
            used = mesh.processor_seconds("coin")
            figures = await load.run(
                mesh.url(COIN), request_of, connections=count, seconds=seconds, warm_up=WARM_UP, parts=parts
            )
            used = mesh.processor_seconds("coin") - used
            operations = figures.requests + count * WARM_UP / parts
            lines.append((name, figures, used / operations * 1e6))
        # Before and after, so that what else the machine does weighs on both.
        after = await _raw(mesh, count, seconds)
        for (name, figures, microseconds), *around in zip(lines, before, after, strict=True):
            raw = statistics.mean(around)
            print(
                f"  {count:2} users  {name:12}  {figures}   raw {raw:6.0f} /s   ratio {figures.per_second / raw:.2f}"
                f"   processor {microseconds:5.0f} us"
            )
    figures = await load.run(mesh.url(COIN), _deducts(mesh, tokens[:1]), connections=32, seconds=seconds)
    print(f"  32 callers on one wallet  {figures}")
    async with open_database(Address(SecretStr(mesh.mongo_uri), "pixelmint_coin")) as database:
        fresh = await mesh.register_many(2)  # without a wallet yet, so that its whole history can be written
        await _histories(mesh, database, fresh, _user_ids(fresh), seconds)
    await _audit(mesh)


def _user_ids(tokens: Sequence[str]) -> list[str]:
    return [str(jwt.decode(token, options={"verify_signature": False})["sub"]) for token in tokens]


async def _raw(mesh: Mesh, workers: int, seconds: float) -> list[float]:
    """Return deducts and holds with their captures a second."""
    command = [sys.executable, str(Path(__file__).with_name("raw.py")), mesh.mongo_uri, str(workers), str(seconds)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    if process.returncode != 0:
        raise SystemExit("raw.py failed")
    return [float(line) for line in output.split()]


def _deducts(mesh: Mesh, tokens: Sequence[str]) -> load.RequestOf:
    body = json.dumps({"amount": 1}).encode()
    requests = [
        load.request(
            mesh.url(COIN), "POST", "/api/coin/deduct", headers={"Authorization": f"Bearer {token}"}, body=body
        )
        for token in tokens
    ]
    return lambda connection, _: requests[connection % len(requests)]


def _holds(mesh: Mesh, users: Sequence[str]) -> load.RequestOf:
    """Hold and capture in turn."""
    run = time.time_ns()
    signer = ServiceTokenSigner(mesh.service_secret, caller="image")
    signed: dict[str, tuple[float, str]] = {}

    def token(scope: str) -> str:
        # Good for 30 s; signing is not what is measured.
        made, value = signed.get(scope, (0.0, ""))
        if time.monotonic() - made > TOKEN_SECONDS:
            made, value = time.monotonic(), signer.sign(audience="coin", scope=scope)
            signed[scope] = made, value
        return value

    def request_of(connection: int, number: int) -> bytes:
        warm, step = number < 0, number if number >= 0 else -1 - number
        key = f"bench:{run}:{connection}:{'warm' if warm else 'run'}:{step // 2}"
        body = json.dumps({"userId": users[connection], "coins": 1, "key": key}).encode()
        path, scope = (("/internal/captures", "coin:capture"), ("/internal/holds", "coin:hold"))[step % 2 == 0]
        return load.request(
            mesh.url(COIN), "POST", path, headers={"Authorization": f"Bearer {token(scope)}"}, body=body
        )

    return request_of


async def _histories(
    mesh: Mesh, database: Database, tokens: Sequence[str], users: Sequence[str], seconds: float
) -> None:
    print("\nA wallet's balance and first page, by the length of its history")
    for token, user_id, entries in zip(tokens, users, (SHORT, LONG), strict=True):
        began = time.perf_counter()
        await _write_history(database, user_id, entries)
        if entries == LONG:
            print(f"  ({entries} entries written in {time.perf_counter() - began:.0f} s)")
        for path in ("/api/coin/balance", "/api/coin/transactions?limit=10"):
            request = load.request(mesh.url(COIN), "GET", path, headers={"Authorization": f"Bearer {token}"})
            figures = await load.run(mesh.url(COIN), lambda *_, r=request: r, connections=1, seconds=seconds)
            print(f"  {entries:8} entries  {path:32}  {figures}")
        top = entries + 1
        last = {"find": "entries", "filter": {"user_id": user_id}, "sort": {"seq": -1}, "limit": 1}
        positions = {"user_id": user_id, "position": {"$lt": top, "$gte": top - 10}}
        page = {"find": "entries", "filter": positions, "sort": {"position": -1}, "limit": 10}
        for name, command in (("balance", last), ("first page", page)):
            print(f"  {entries:8} entries  explain {name:10}  {await plan(database, command)}")


async def _write_history(database: Database, user_id: str, count: int) -> None:
    """Have the server itself write a sound chain of ``count`` earnings of one coin; a client would take minutes."""
    number, now = {"$toLong": "$n"}, utc_now()
    entry: dict[str, Any] = {
        "_id": 0,
        "user_id": {"$literal": user_id},
        "kind": "credit",
        "type": "earn",
        "source": "bench",
        "key": {"$concat": [user_id, ":bench:", {"$toString": "$n"}]},
        "amount": {"$toLong": 1},
        "released": {"$toLong": 0},
        "held": {"$toLong": 0},
        "counts": {"earn": number},
        "earned": {"bench": {"day": f"{now:%Y-%m-%d}", "coins": number, "last_at": now}},
        "created_at": now,
        **dict.fromkeys(("seq", "balance", "position", "type_position"), number),
    }
    for first in range(1, count + 1, CHUNK):
        await database.aggregate(
            [
                {"$documents": [{"n": {"$range": [first, min(first + CHUNK, count + 1)]}}]},
                {"$unwind": "$n"},
                {"$project": entry},
                {"$merge": {"into": "entries", "whenMatched": "fail"}},
            ]
        ).to_list(1)


async def _audit(mesh: Mesh) -> None:
    """Audit all that was written by now, in a process of its own."""
    print("\nAudit of the whole ledger")
    environment = {"PATH": os.environ["PATH"], "MONGO_URI": mesh.mongo_uri}
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "coin_service.commands", "audit", env=environment, stdout=asyncio.subprocess.PIPE
    )
    peak = 0
    reading = asyncio.create_task(process.stdout.read() if process.stdout else asyncio.sleep(0, b""))
    while not reading.done():
        await asyncio.wait([reading], timeout=0.1)
        peak = max(peak, _peak_kilobytes(process.pid))
    code = await process.wait()
    told = [line for line in (await reading).decode().splitlines() if "open for" not in line]
    for line in told[-TOLD_LINES:]:
        print(f"  {line}")
    print(f"  {time.perf_counter() - began:.1f} s, at most {peak / 1024:.0f} MB, exit code {code}")


def _peak_kilobytes(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)
