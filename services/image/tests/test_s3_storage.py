"""Files in S3: the same promises, against a server that speaks it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aioboto3
import pytest
import pytest_asyncio
from moto.server import ThreadedMotoServer
from pydantic import SecretStr

from common.mongo import Database, new_id
from common.testing import app_client, user_headers
from image_service.errors import StorageUnavailableError
from image_service.main import create_app
from image_service.settings import Settings
from image_service.storage import new_file, read_all
from image_service.storage.s3 import S3Storage, open_s3
from image_service.testing import World

Make = Callable[..., Settings]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_settings(settings: Make, endpoint: str, database_name: str) -> Make:
    def make(**overrides: Any) -> Settings:
        values = {
            "storage_backend": "s3",
            "s3_endpoint_url": endpoint,
            "aws_access_key_id": "key",
            "aws_secret_access_key": SecretStr("secret"),
            "aws_region": "eu-central-1",
            "aws_s3_bucket_name": database_name.replace("_", "-"),
        }
        return settings(**(values | overrides))

    return make


@pytest_asyncio.fixture
async def storage(s3_settings: Make) -> AsyncIterator[S3Storage]:
    async with open_s3(s3_settings(aws_region="us-east-1")) as opened:
        await opened.prepare()
        await opened.prepare()
        yield opened


async def test_what_was_put_is_read_and_deleted(storage: S3Storage) -> None:
    file, data = new_file(new_id()), bytes(range(256)) * 4000
    await storage.put(file, data)
    assert await read_all(storage, file) == data
    stored = await storage.find(file)
    assert stored is not None
    assert b"".join([chunk async for chunk in stored.chunks(300_000, 900_001)]) == data[300_000:900_001]
    assert [chunk async for chunk in stored.chunks(5, 5)] == []
    await storage.delete(file)
    await storage.delete(file)
    assert await storage.find(file) is None
    with pytest.raises(StorageUnavailableError):
        await read_all(storage, file)


async def test_the_object_says_what_it_is(storage: S3Storage, s3_settings: Make, endpoint: str) -> None:
    file = new_file(new_id())
    await storage.put(file, b"data")
    async with aioboto3.Session().client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    ) as client:
        head = await client.head_object(Bucket=s3_settings().aws_s3_bucket_name, Key=file)
    assert head["ContentType"] == "image/png"
    assert head["CacheControl"] == "public, max-age=31536000, immutable"
    assert head["ContentDisposition"] == "inline"


@pytest.mark.parametrize("backend", ["nobody listens", "no such bucket"])
async def test_trouble_is_one_error(s3_settings: Make, backend: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        wrong: dict[str, Any] = {"aws_s3_bucket_name": "no-such-bucket"}
        if backend == "nobody listens":
            wrong = {"s3_endpoint_url": f"http://127.0.0.1:{closed.getsockname()[1]}"}
        async with open_s3(s3_settings(**wrong)) as storage:
            with pytest.raises(StorageUnavailableError):
                await storage.put(new_file(new_id()), b"data")
            if backend == "nobody listens":
                with pytest.raises(StorageUnavailableError):
                    await storage.prepare()


async def test_addresses(s3_settings: Make) -> None:
    file = new_file(new_id())
    async with open_s3(s3_settings(public_url="https://api.example.com")) as storage:
        assert await storage.url(file) == f"https://api.example.com/uploads/{file}"
    async with open_s3(s3_settings(aws_s3_bucket_url="https://cdn.example.com/pictures/")) as storage:
        assert await storage.url(file) == f"https://cdn.example.com/pictures/{file}"
    on_aws = s3_settings(s3_endpoint_url=None, aws_s3_bucket_name="pictures", s3_url_ttl_seconds=600)
    async with open_s3(on_aws) as storage:
        await storage.prepare()  # asks nobody: on AWS the bucket is the operator's
        signed = urlsplit(await storage.url(file))
    query = parse_qs(signed.query)
    assert (signed.scheme, signed.path) == ("https", f"/{file}")
    assert signed.hostname == "pictures.s3.eu-central-1.amazonaws.com"
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert query["X-Amz-Expires"] == ["600"]


async def test_no_acl_is_sent(s3_settings: Make) -> None:
    # Buckets made since April 2023 refuse them, which moto does not show.
    seen: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        seen.append(head)
        if b"expect: 100-continue" in head.lower():
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await reader.readexactly(4)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with open_s3(s3_settings(s3_endpoint_url=f"http://127.0.0.1:{port}")) as storage:
            await storage.put("a" * 32 + ".png", b"data")
    head = seen[0].lower()
    assert head.startswith(b"put /")
    assert b"x-amz-acl" not in head
    assert b"x-amz-checksum" not in head
    assert b"x-amz-sdk-checksum" not in head


async def test_an_order_through_s3_to_the_phone(
    s3_settings: Make, world: World, database: Database, user_id: str
) -> None:
    application = create_app(s3_settings(aws_region="us-east-1"), transport=world)
    async with app_client(application, **user_headers(user_id)) as client:
        response = await client.post("/api/image/generate", json={"prompt": "a fox"}, headers={"Idempotency-Key": "k"})
        image = response.json()["data"]["images"][0]
        address = image["imageUrl"].removeprefix("http://localhost:5000")
        whole = await client.get(address)
        assert (whole.status_code, whole.headers["content-type"]) == (200, "image/png")
        part = await client.get(address, headers={"Range": "bytes=1-3"})
        assert (part.status_code, part.content) == (206, b"PNG")
        again = await client.post("/api/image/generate", json={"prompt": "a fox"}, headers={"Idempotency-Key": "k"})
        assert again.json() == response.json()
        assert (await client.delete(f"/api/image/{image['id']}")).status_code == 200
        assert (await client.get(address)).status_code == 404
