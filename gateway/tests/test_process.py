"""The process itself, started as operators start it."""

import asyncio
import os
import signal
import socket
import sys

import httpx
import pytest

from common.testing import until
from gateway_service.testing import ScriptedService, Seen, answer

SECRET = "9f8e7d6c" * 8


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def environment(service: ScriptedService, **more: str) -> dict[str, str]:
    urls = {f"{name}_URL": service.url for name in ("AUTH", "USER", "COIN", "IMAGE", "SUBSCRIPTION")}
    return {"PATH": os.environ["PATH"], "JWT_SECRET": SECRET} | urls | more


async def start(environ: dict[str, str]) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway_service", env=environ, stdout=pipe, stderr=pipe
    )


async def test_it_serves_finishes_what_it_began_and_ends(service: ScriptedService) -> None:
    port = free_port()
    go_on = asyncio.Event()

    async def wait(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        writer.write(answer(b"done"))

    service.handler = wait
    process = await start(environment(service, PORT=str(port)))
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=10) as client:
            async with asyncio.timeout(15):
                while not await answers(client):
                    assert process.returncode is None
                    await asyncio.sleep(0.05)
            request = asyncio.create_task(client.post("/api/auth/login?secret=hunter2", content=b"password"))
            await until(lambda: service.seen)
            process.send_signal(signal.SIGTERM)
            go_on.set()
            assert (await request).content == b"done"
        output, errors = await asyncio.wait_for(process.communicate(), 10)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode in (0, -signal.SIGTERM)
    assert not {word for word in (SECRET, "hunter2", "password", "Traceback") if word.encode() in output + errors}


async def answers(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/")).status_code == 200
    except httpx.ConnectError:
        return False


@pytest.mark.parametrize(
    ("more", "variable"),
    [({"JWT_SECRET": ""}, b"JWT_SECRET"), ({"NODE_ENV": "production", "JWT_SECRET": "short"}, b"JWT_SECRET")],
)
async def test_it_does_not_start_without_a_good_secret(
    service: ScriptedService, more: dict[str, str], variable: bytes
) -> None:
    process = await start(environment(service, PORT=str(free_port()), **more))
    _, errors = await asyncio.wait_for(process.communicate(), 15)

    assert process.returncode == 78
    assert errors.startswith(b"cannot start: " + variable)
