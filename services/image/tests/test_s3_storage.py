"""Files in S3: the same promises, against a server that speaks it."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aioboto3
import httpx
import pytest
import pytest_asyncio
from botocore.exceptions import EndpointConnectionError

from common.mongo import Database, new_id
from common.testing import app_client, user_headers
from image_service.errors import StorageUnavailableError
from image_service.main import create_app
from image_service.settings import Settings
from image_service.storage import Suffix, new_file, read_all
from image_service.storage.s3 import S3Storage, open_s3
from image_service.storage.s3_multipart import PART_BYTES, abort_begun_before
from image_service.testing import World

Make = Callable[..., Settings]


@pytest_asyncio.fixture
async def storage(s3_settings: Make) -> AsyncIterator[S3Storage]:
    async with open_s3(s3_settings()) as opened:
        await opened.prepare()
        await opened.prepare()
        yield opened


@pytest_asyncio.fixture
async def client(s3_endpoint: str) -> AsyncIterator[Any]:
    """Another client than the storage's."""
    async with aioboto3.Session().client(
        "s3",
        endpoint_url=s3_endpoint,
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    ) as opened:
        yield opened


@pytest.fixture
def bucket(storage: S3Storage, client: Any, s3_settings: Make) -> Callable[..., Any]:
    """Look into the bucket by any of the client's operations."""
    name = s3_settings().aws_s3_bucket_name
    return lambda operation, **arguments: getattr(client, operation)(Bucket=name, **arguments)


@pytest.mark.parametrize("size", [4, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES + 17])
@pytest.mark.parametrize("suffix", [".png", ".webp"])
async def test_the_object_says_what_it_is(
    storage: S3Storage, bucket: Callable[..., Any], size: int, suffix: Suffix
) -> None:
    file, data = new_file(new_id(), suffix), os.urandom(size)
    await storage.put(file, data)
    assert await read_all(storage, file) == data
    head = await bucket("head_object", Key=file)
    assert head["ContentType"] == f"image/{suffix[1:]}"
    assert head["CacheControl"] == "public, max-age=31536000, immutable"
    assert head["ContentDisposition"] == "inline"
    parts = -(-size // PART_BYTES)
    assert head["ETag"].strip('"').partition("-")[2] == ("" if parts == 1 else str(parts))
    await storage.delete(file)


class Stumbling:
    """An S3 client one of whose operations ends with an error, from the second or third time on if so wished."""

    def __init__(self, client: Any, operation: str, error: BaseException, *, after: int = 0) -> None:
        self._client = client
        self._operation = operation
        self._error = error
        self._after = after

    def __getattr__(self, name: str) -> Any:
        if name != self._operation or self._after > 0:
            self._after -= name == self._operation
            return getattr(self._client, name)

        async def stumble(**_: Any) -> None:
            raise self._error

        return stumble


@pytest.mark.parametrize(
    ("operation", "after"), [("upload_part", 0), ("upload_part", 1), ("complete_multipart_upload", 0)]
)
@pytest.mark.parametrize("error", [EndpointConnectionError(endpoint_url="s3"), asyncio.CancelledError()])
async def test_an_upload_that_ends_early_leaves_nothing(
    storage: S3Storage,
    client: Any,
    bucket: Callable[..., Any],
    s3_settings: Make,
    operation: str,
    after: int,
    error: BaseException,
) -> None:
    broken = S3Storage(Stumbling(client, operation, error, after=after), s3_settings())
    expected = asyncio.CancelledError if isinstance(error, asyncio.CancelledError) else StorageUnavailableError
    with pytest.raises(expected):
        await broken.put(new_file(new_id()), bytes(2 * PART_BYTES + 1))
    assert "Uploads" not in await bucket("list_multipart_uploads")
    assert (await storage.page()).files == []


async def test_what_dead_processes_left_is_removed_when_it_is_old(
    storage: S3Storage, client: Any, bucket: Callable[..., Any], s3_settings: Make
) -> None:
    file = new_file(new_id())
    upload = await bucket("create_multipart_upload", Key=file)
    await bucket("upload_part", Key=file, UploadId=upload["UploadId"], PartNumber=1, Body=b"begun")
    # The server says of every upload that it was begun in 2010.
    bucket_name = str(s3_settings().aws_s3_bucket_name)
    await abort_begun_before(client, datetime(2010, 1, 1, tzinfo=UTC), bucket=bucket_name)
    assert len((await bucket("list_multipart_uploads"))["Uploads"]) == 1, "it may be another process's, at work"
    await storage.remove_drafts()
    assert "Uploads" not in await bucket("list_multipart_uploads")


async def test_a_list_goes_on_where_it_stopped(
    storage: S3Storage, client: Any, bucket: Callable[..., Any], s3_settings: Make
) -> None:
    names = sorted(new_file(new_id()) for _ in range(5))
    await asyncio.gather(*(storage.put(name, b"data") for name in names))
    await bucket("put_object", Key="somebody-elses.txt", Body=b"")
    reader = S3Storage(client, s3_settings(), page_files=2)
    found, after, pages = list[str](), None, 0
    while pages == 0 or after is not None:
        page = await reader.page(after)
        found += [file.name for file in page.files]
        after, pages = page.after, pages + 1
    assert (found, pages) == (names, 3)


async def test_wrong_keys_are_one_error(storage: S3Storage, s3_endpoint: str) -> None:
    """Last of those that need the server to believe everybody."""
    file = new_file(new_id())
    await storage.put(file, b"data")
    async with httpx.AsyncClient(base_url=s3_endpoint) as moto:
        await moto.post("/moto-api/reset-auth", content="0")
        try:
            for action in (storage.put(file, b"data"), storage.find(file), storage.delete(file), storage.page()):
                with pytest.raises(StorageUnavailableError):
                    await action
        finally:
            await moto.post("/moto-api/reset-auth", content="inf")
    assert await read_all(storage, file) == b"data"


async def test_throttling_is_waited_out(s3_settings: Make) -> None:
    slow_down = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
    async with spoken([(503, slow_down), (200, b"")]) as (address, heads):
        async with open_s3(s3_settings(s3_endpoint_url=address)) as storage:
            await storage.put(new_file(new_id()), b"data")
        assert len(heads) == 2
    async with spoken([(503, slow_down)] * 3) as (address, heads):
        async with open_s3(s3_settings(s3_endpoint_url=address)) as storage:
            with pytest.raises(StorageUnavailableError):
                await storage.put(new_file(new_id()), b"data")
        assert len(heads) == 3


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
    at = {"aws_region": "eu-central-1"}
    async with open_s3(s3_settings(public_url="https://api.example.com")) as storage:
        assert await storage.url(file) == f"https://api.example.com/uploads/{file}"
    async with open_s3(s3_settings(aws_s3_bucket_url="https://cdn.example.com/pictures/")) as storage:
        assert await storage.url(file) == f"https://cdn.example.com/pictures/{file}"
    on_aws = s3_settings(**at, s3_endpoint_url=None, aws_s3_bucket_name="pictures", s3_url_ttl_seconds=600)
    async with open_s3(on_aws) as storage:
        await storage.prepare()  # asks nobody: on AWS the bucket is the operator's
        signed = urlsplit(await storage.url(file))
    query = parse_qs(signed.query)
    assert (signed.scheme, signed.path) == ("https", f"/{file}")
    assert signed.hostname == "pictures.s3.eu-central-1.amazonaws.com"
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert query["X-Amz-Expires"] == ["600"]


@asynccontextmanager
async def spoken(answers: list[tuple[int, bytes]]) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that gives these answers to uploads of four bytes, one after the other; yields what it was asked."""
    heads: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        heads.append(head.lower())
        if b"expect: 100-continue" in head.lower():
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await reader.readexactly(4)
        status, body = answers[len(heads) - 1]
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (status, len(body)))
        writer.write(body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", heads


@pytest.mark.parametrize("acl", [None, "bucket-owner-full-control"])
async def test_an_acl_is_sent_only_if_asked_for(s3_settings: Make, acl: str | None) -> None:
    # Buckets made since April 2023 refuse them, which moto does not show.
    async with (
        spoken([(200, b"")]) as (address, heads),
        open_s3(s3_settings(s3_endpoint_url=address, aws_s3_acl=acl)) as storage,
    ):
        await storage.put(new_file(new_id()), b"data")
    assert heads[0].startswith(b"put /")
    assert (b"x-amz-acl: bucket-owner-full-control" in heads[0]) == (acl is not None)
    assert b"x-amz-acl" not in heads[0] or acl is not None
    assert b"x-amz-checksum" not in heads[0]
    assert b"x-amz-sdk-checksum" not in heads[0]


async def test_an_acl_is_sent_with_parts_only_if_asked_for(storage: S3Storage, client: Any, s3_settings: Make) -> None:
    asked: list[dict[str, Any]] = []

    class Listening:
        def __getattr__(self, name: str) -> Any:
            operation = getattr(client, name)

            async def ask(**arguments: Any) -> Any:
                asked.append(arguments)
                return await operation(**arguments)

            return ask

    for acl in (None, "private"):
        asked.clear()
        await S3Storage(Listening(), s3_settings(aws_s3_acl=acl)).put(new_file(new_id()), bytes(PART_BYTES + 1))
        assert len(asked) == 4
        assert [arguments.get("ACL") for arguments in asked] == [acl, None, None, None]


async def test_an_order_through_s3_to_the_phone(
    s3_settings: Make, world: World, database: Database, user_id: str
) -> None:
    application = create_app(s3_settings(), transport=world)
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
