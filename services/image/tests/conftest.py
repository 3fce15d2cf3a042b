"""The service between a real MongoDB and stand-ins on the wire."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from moto.server import ThreadedMotoServer
from pydantic import SecretStr

from common.testing import app_client, service_settings, user_headers
from image_service.main import create_app
from image_service.settings import Settings
from image_service.testing import WORLD_SETTINGS, World

USER = "0123456789abcdef01234567"


@pytest.fixture
def user_id() -> str:
    return USER


@pytest_asyncio.fixture
async def world() -> World:
    return World()


@pytest.fixture
def uploads(tmp_path: Path) -> Path:
    return tmp_path / "uploads"


@pytest.fixture
def settings(mongo_uri: str, database_name: str, uploads: Path) -> Callable[..., Settings]:
    """Settings of the service in this test; more by name."""

    def make(**overrides: Any) -> Settings:
        values = {"stability_api_key": SecretStr("sk-test"), "uploads_dir": uploads, "shutdown_seconds": 5.0}
        return service_settings(Settings, mongo_uri, database_name, **(WORLD_SETTINGS | values | overrides))

    return make


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """Address of a server that speaks S3."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_settings(settings: Callable[..., Settings], s3_endpoint: str, database_name: str) -> Callable[..., Settings]:
    """Settings with a bucket of this test's own; more by name."""

    def make(**overrides: Any) -> Settings:
        values = {
            "storage_backend": "s3",
            "s3_endpoint_url": s3_endpoint,
            "aws_access_key_id": "key",
            "aws_secret_access_key": SecretStr("secret"),
            "aws_s3_bucket_name": database_name.replace("_", "-"),
        }
        return settings(**(values | overrides))

    return make


@pytest.fixture
def start(
    settings: Callable[..., Settings], world: World
) -> Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]:
    """Start a process of the service; yields a client that speaks as the user."""

    def begin(**overrides: Any) -> AbstractAsyncContextManager[httpx.AsyncClient]:
        return app_client(create_app(settings(**overrides), transport=world), **user_headers(USER))

    return begin


@pytest_asyncio.fixture
async def client(
    start: Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]], database: Any
) -> AsyncIterator[httpx.AsyncClient]:
    # `database` drops what the service leaves behind.
    async with start() as opened:
        yield opened
