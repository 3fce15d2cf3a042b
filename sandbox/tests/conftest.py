"""The application in this process, and a real one on a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from sandbox_service.credentials import ensure_service_account
from sandbox_service.main import create_app
from sandbox_service.settings import Settings
from sandbox_service.testing.gateway import Gateway, opened, settings
from sandbox_service.testing.play import Play, ask_token, claims_of


@pytest.fixture(scope="session")
def service_account_json(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One key for all tests: making an RSA key takes a moment."""
    path = tmp_path_factory.mktemp("keys") / "play.json"
    ensure_service_account(path, "http://127.0.0.1:1")
    return path.read_text("utf-8")


@pytest.fixture
def key_file(tmp_path: Path, service_account_json: str) -> Path:
    path = tmp_path / "play.json"
    path.write_text(service_account_json, "utf-8")
    return path


@pytest.fixture
async def client(key_file: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application, without a socket between them."""
    app = create_app(Settings(sandbox_credentials_file=key_file, sandbox_base_url="http://sandbox"))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://sandbox", timeout=20) as client:
            yield client


@pytest.fixture
async def server(key_file: Path) -> AsyncIterator[str]:
    """Address of a real server; what breaks connections can only be seen there."""
    config = uvicorn.Config(
        create_app(Settings(sandbox_credentials_file=key_file)),
        port=0,
        log_level="critical",
        timeout_graceful_shutdown=1,
    )
    running = uvicorn.Server(config)
    task = asyncio.create_task(running.serve())
    async with asyncio.timeout(10):
        while not running.started:  # noqa: ASYNC110 - uvicorn sets a flag, not an event.
            await asyncio.sleep(0.01)
    port = running.servers[0].sockets[0].getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    ensure_service_account(key_file, address)
    yield address
    running.should_exit = True
    await task


@pytest.fixture
async def socket_client(server: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server, timeout=20) as client:
        yield client


@pytest.fixture
def account(client: httpx.AsyncClient, key_file: Path) -> dict[str, Any]:
    """The service account that the running sandbox trusts."""
    content: dict[str, Any] = json.loads(key_file.read_text())
    return content


@pytest.fixture
async def play(client: httpx.AsyncClient, account: dict[str, Any]) -> Play:
    token = (await ask_token(client, account, claims_of(account))).json()["access_token"]
    return Play(client, {"Authorization": f"Bearer {token}"})


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
async def sender(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    async for client in opened(gateway, settings()):
        yield client
