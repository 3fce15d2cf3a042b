"""Ask again and again while processes die: what is unknown is repeated, under its key."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import httpx

from journey.answers import error
from journey.mesh import Mesh, is_ready
from journey.polling import until

BOUND_SECONDS = 12.0
"""An ordinary call is given up after 10 s at the gateway."""

WELL_AGAIN_SECONDS = 30.0
"""Two for the supervisor, the rest for a start on a busy machine."""

PATIENCE_SECONDS = 150.0
"""Until one outcome is known while a process is killed again and again."""

PAUSE_SECONDS = 0.15

UNKNOWN = (502, 503, 504)

Ask = Callable[[], Awaitable[httpx.Response]]


async def well(mesh: Mesh) -> None:
    """Wait until every process can work."""

    async def ready() -> bool:
        return await asyncio.to_thread(is_ready, mesh.gateway)

    await until(ready, "the mesh is ready", seconds=WELL_AGAIN_SECONDS)


async def asked_until_well(ask: Ask) -> list[httpx.Response]:
    """Ask again and again until the answer is a success; every other one keeps the contract, and its time."""
    answers = []
    deadline = time.monotonic() + WELL_AGAIN_SECONDS
    while time.monotonic() < deadline:
        started = time.monotonic()
        answer = await ask()
        assert time.monotonic() - started < BOUND_SECONDS
        answers.append(answer)
        if answer.is_success:
            return answers
        assert answer.status_code in UNKNOWN, answer.text
        error(answer, answer.status_code)
        await asyncio.sleep(0.05)
    raise AssertionError(f"not well after {WELL_AGAIN_SECONDS:.0f} s: {answers[-1].text}")


async def asked_until_known(ask: Ask) -> tuple[httpx.Response, int]:
    """Ask until it is known what became of it, be it done or refused; return that answer and how many were none.

    No answer is also one that breaks off: its head was on its way when the process died.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    unknown = 0
    while time.monotonic() < deadline:
        try:
            answer = await ask()
        except (httpx.RemoteProtocolError, httpx.ReadError):
            unknown += 1
            continue
        if answer.is_success:
            return answer, unknown
        body = error(answer, answer.status_code)
        if answer.status_code not in UNKNOWN and body["code"] != "request_in_progress":
            return answer, unknown
        unknown += 1
        await asyncio.sleep(PAUSE_SECONDS)
    raise AssertionError(f"still unknown after {PATIENCE_SECONDS:.0f} s and {unknown} times")
