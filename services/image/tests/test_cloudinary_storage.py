"""Cloudinary when it stumbles, refuses, or is not the one it says it is."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from pydantic import SecretStr, ValidationError
from structlog.testing import capture_logs

from common.mongo import new_id
from image_service.cloudinary_account import CloudinaryAccount
from image_service.errors import StorageUnavailableError
from image_service.settings import Settings
from image_service.storage import new_file, stem
from image_service.storage.cloudinary import CloudinaryStorage, open_cloudinary

SECRET = "a-very-secret-word"
ACCOUNT = CloudinaryAccount("pixelmint", "key", SECRET)
FILE = new_file(new_id())
DATA = b"\x89PNG..."

Answer = httpx.Response | Exception
Make = Callable[..., Settings]


class Vendor:
    """Cloudinary on the wire: the answers it is given first, then those of an upload that went well."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    async def answer(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.requests.append(request)
        answer = self.answers.pop(0) if self.answers else httpx.Response(200, json=uploaded())
        if isinstance(answer, Exception):
            raise answer
        return answer

    @asynccontextmanager
    async def storage(self, settings: Make, **overrides: Any) -> AsyncIterator[CloudinaryStorage]:
        url = SecretStr(f"cloudinary://key:{SECRET}@pixelmint")
        values = {"storage_backend": "cloudinary", "cloudinary_url": url, **overrides}
        async with open_cloudinary(settings(**values), transport=httpx.MockTransport(self.answer)) as opened:
            yield opened


def uploaded(**changes: Any) -> dict[str, Any]:
    proof = ACCOUNT.signature({"public_id": stem(FILE), "version": "17"}, escaped=False)
    answer = {"public_id": stem(FILE), "version": 17, "signature": proof, "format": "png", "bytes": len(DATA)}
    return answer | changes


async def test_an_upload_as_documented(settings: Make) -> None:
    vendor = Vendor()
    async with vendor.storage(settings) as storage:
        await storage.put(FILE, DATA)
        assert await storage.url(FILE) == f"https://res.cloudinary.com/pixelmint/image/upload/{FILE}"
    [request] = vendor.requests
    assert (request.method, str(request.url)) == ("POST", "https://api.cloudinary.com/v1_1/pixelmint/image/upload")
    assert request.headers["content-type"].startswith("multipart/form-data")
    assert DATA in request.content
    for expected in (b'name="signature"', b'name="timestamp"', b'name="api_key"', stem(FILE).encode()):
        assert expected in request.content
    assert SECRET.encode() not in request.content


async def test_a_destroy_takes_the_copies_too(settings: Make) -> None:
    vendor = Vendor(httpx.Response(200, json={"result": "ok"}), httpx.Response(200, json={"result": "not found"}))
    async with vendor.storage(settings, cloudinary_api_base="https://api-eu.cloudinary.com") as storage:
        await storage.delete(FILE)
        await storage.delete(FILE)
    assert str(vendor.requests[0].url) == "https://api-eu.cloudinary.com/v1_1/pixelmint/image/destroy"
    sent = {name: values[0] for name, values in parse_qs(vendor.requests[0].content.decode()).items()}
    assert (sent["public_id"], sent["invalidate"]) == (stem(FILE), "true")
    signed = {name: sent[name] for name in ("public_id", "invalidate", "timestamp")}
    assert sent == ACCOUNT.signed(signed)


@pytest.mark.parametrize(
    "stumble",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("broken"),
        httpx.Response(500, json={"error": {"message": "General Error"}}),
        httpx.Response(420, json={"error": {"message": "Rate Limit Exceeded"}}),
        httpx.Response(429),
        httpx.Response(200, text="<html>"),
    ],
    ids=lambda stumble: getattr(stumble, "status_code", type(stumble).__name__),
)
async def test_what_may_pass_is_tried_again(settings: Make, stumble: Answer) -> None:
    vendor = Vendor(stumble)
    async with vendor.storage(settings) as storage:
        await storage.put(FILE, DATA)
    assert len(vendor.requests) == 2
    vendor = Vendor(stumble, stumble, stumble)
    async with vendor.storage(settings) as storage:
        with pytest.raises(StorageUnavailableError):
            await storage.put(FILE, DATA)
    assert len(vendor.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409])
async def test_a_refusal_is_not_repeated(settings: Make, status: int) -> None:
    vendor = Vendor(httpx.Response(status, json={"error": {"message": "no"}}))
    async with vendor.storage(settings) as storage:
        with pytest.raises(StorageUnavailableError):
            await storage.put(FILE, DATA)
    assert len(vendor.requests) == 1


@pytest.mark.parametrize(
    "lie",
    [
        {"public_id": "another"},
        {"bytes": len(DATA) - 1},
        {"format": "jpg"},
        {"signature": "0" * 40},
        {"version": 18},
        {"version": None},
        {"bytes": "many"},
    ],
    ids=str,
)
async def test_an_answer_is_not_believed_unseen(settings: Make, lie: dict[str, Any]) -> None:
    vendor = Vendor(httpx.Response(200, json=uploaded(**lie)))
    async with vendor.storage(settings) as storage:
        with pytest.raises(StorageUnavailableError):
            await storage.put(FILE, DATA)


@pytest.mark.parametrize("answer", [{"result": "pending"}, {}, []], ids=str)
async def test_a_destroy_that_was_none(settings: Make, answer: Any) -> None:
    async with Vendor(httpx.Response(200, json=answer)).storage(settings) as storage:
        with pytest.raises(StorageUnavailableError):
            await storage.delete(FILE)


async def test_reading(settings: Make) -> None:
    whole = bytes(range(100))
    head = httpx.Response(200, headers={"Content-Length": "100"})
    vendor = Vendor(head, httpx.Response(200, content=whole), httpx.Response(206, content=whole[10:20]))
    async with vendor.storage(settings) as storage:
        stored = await storage.find(FILE)
        assert stored is not None
        for _ in range(2):  # the first time the network serves the whole
            assert b"".join([chunk async for chunk in stored.chunks(10, 20)]) == whole[10:20]
    assert [request.headers.get("range") for request in vendor.requests] == [None, "bytes=10-19", "bytes=10-19"]
    assert all(request.headers["accept-encoding"] == "identity" for request in vendor.requests)
    assert all("authorization" not in request.headers for request in vendor.requests)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(401),
        httpx.Response(503),
        httpx.Response(200, headers={"Content-Length": "many"}),
        httpx.ConnectTimeout("slow"),
    ],
    ids=str,
)
async def test_what_cannot_be_told_is_not_missing(settings: Make, answer: Answer) -> None:
    async with Vendor(answer).storage(settings) as storage:
        with pytest.raises(StorageUnavailableError):
            await storage.find(FILE)


@pytest.mark.parametrize("answer", [httpx.Response(206, content=b"short"), httpx.Response(404)], ids=str)
async def test_a_file_that_breaks_off_is_an_error(settings: Make, answer: httpx.Response) -> None:
    vendor = Vendor(httpx.Response(200, headers={"Content-Length": "100"}), answer)
    async with vendor.storage(settings) as storage:
        stored = await storage.find(FILE)
        assert stored is not None
        with pytest.raises(StorageUnavailableError):
            assert [chunk async for chunk in stored.chunks(0, 100)]


async def test_the_list(settings: Make) -> None:
    asset = {"public_id": stem(FILE), "format": "png", "bytes": 7, "created_at": "2026-11-22T10:00:00Z"}
    first = {"resources": [asset, {**asset, "public_id": "samples/landscape"}], "next_cursor": "c1"}
    last = {"resources": [{**asset, "format": "gif"}]}
    refused = httpx.Response(400, json={"error": {"message": "Invalid value for parameter next_cursor"}})
    vendor = Vendor(
        httpx.Response(200, json=first), httpx.Response(200, json=last), refused, httpx.Response(200, json=last)
    )
    async with vendor.storage(settings) as storage:
        page = await storage.page()
        assert [(file.name, file.size, file.modified_at.year) for file in page.files] == [(FILE, 7, 2026)]
        assert page.after == "c1"
        page = await storage.page("c1")
        assert (page.files, page.after) == ([], None)
        page = await storage.page("of long ago")
        assert (page.files, page.after) == ([], None)
    queries = [dict(request.url.params) for request in vendor.requests]
    most = {"max_results": "500"}
    assert queries == [most, most | {"next_cursor": "c1"}, most | {"next_cursor": "of long ago"}, most]
    assert all(request.headers["authorization"].startswith("Basic ") for request in vendor.requests)


async def test_nothing_secret_is_logged(settings: Make) -> None:
    message = f"Invalid Signature 00. String to sign - 'public_id={stem(FILE)}&timestamp=1'."
    refused = httpx.Response(401, json={"error": {"message": message}}, headers={"X-Request-Id": "vendor-1"})
    with capture_logs() as lines:
        async with Vendor(refused, httpx.ConnectError(SECRET)).storage(settings) as storage:
            with pytest.raises(StorageUnavailableError):
                await storage.put(FILE, DATA)
            await storage.put(FILE, DATA)
    [line] = [line for line in lines if line["event"] == "storage failed"]
    assert (line["status"], line["vendor_request_id"], line["log_level"]) == (401, "vendor-1", "error")
    for secret in (SECRET, "String to sign", stem(FILE)):
        assert secret not in str(lines)


def test_the_settings_want_an_account(settings: Make) -> None:
    with pytest.raises(ValidationError, match="CLOUDINARY_URL is required"):
        settings(storage_backend="cloudinary")
    with pytest.raises(ValidationError, match="CLOUDINARY_URL must be") as refused:
        settings(storage_backend="cloudinary", cloudinary_url=SecretStr(f"https://{SECRET}@cloud"))
    assert SECRET not in str(refused.value)
