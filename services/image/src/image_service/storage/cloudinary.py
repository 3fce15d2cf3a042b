"""Pictures at Cloudinary: stored and removed by its APIs, read from its delivery network."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from common.http import open_http_client
from common.logging import get_logger
from image_service.cloudinary_account import CloudinaryAccount
from image_service.errors import StorageUnavailableError
from image_service.settings import Settings
from image_service.storage import CHUNK_BYTES, FilePage, FoundFile, checked, is_file, stem
from image_service.storage.cloudinary_api import API_BASE, CloudinaryApi, StaleCursorError

logger = get_logger(__name__)

DELIVERY = "https://res.cloudinary.com"
TIMEOUT_SECONDS = 20.0
"""One wait for the network, of which an upload has several."""

_IDENTITY = {"Accept-Encoding": "identity"}
"""Packed, a file would have another length."""


@dataclass(frozen=True, slots=True)
class CloudinaryFile:
    """A picture that was there a moment ago."""

    storage: "CloudinaryStorage"
    file: str
    size: int

    def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
        return self.storage.read(self.file, start, stop)


class CloudinaryStorage:
    """One cloud; a file's name without its suffix is the asset's public id."""

    def __init__(
        self, client: httpx.AsyncClient, api: CloudinaryApi, *, delivery: str, uploads_url: str | None = None
    ) -> None:
        """Name what is needed.

        Args:
            client: For reading.
            api: For all else.
            delivery: Address of the cloud in the delivery network.
            uploads_url: Where phones load files if that is not reachable for them.
        """
        self._client = client
        self._api = api
        self._folder = f"{delivery}/image/upload"
        self._public_folder = uploads_url or self._folder

    async def put(self, file: str, data: bytes) -> None:
        await self._api.upload(checked(file), data)

    async def find(self, file: str) -> CloudinaryFile | None:
        try:
            response = await self._client.head(f"{self._folder}/{checked(file)}", headers=_IDENTITY)
        except httpx.HTTPError as error:
            raise _unavailable(error) from error
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        size = response.headers.get("content-length", "")
        if response.status_code != httpx.codes.OK or not size.isdecimal():
            raise _unavailable(response)
        return CloudinaryFile(self, file, int(size))

    async def read(self, file: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield the bytes of a picture from ``start`` to just before ``stop``."""
        if start >= stop:
            return
        headers = {**_IDENTITY, "Range": f"bytes={start}-{stop - 1}"}
        try:
            async with self._client.stream("GET", f"{self._folder}/{file}", headers=headers) as response:
                if response.status_code not in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
                    raise _unavailable(response)
                # A network that serves no ranges answers with the whole.
                skip = start if response.status_code == httpx.codes.OK else 0
                left = stop - start
                async for chunk in response.aiter_bytes(CHUNK_BYTES):
                    piece = chunk[skip : skip + left]
                    skip = max(0, skip - len(chunk))
                    left -= len(piece)
                    if piece:
                        yield piece
                if left:
                    raise _unavailable(response)
        except httpx.HTTPError as error:
            raise _unavailable(error) from error

    async def delete(self, file: str) -> None:
        await self._api.destroy(stem(checked(file)))

    async def page(self, after: str | None = None) -> FilePage:
        try:
            page = await self._api.page(after)
        except StaleCursorError:
            page = await self._api.page(None)  # what has been seen is seen once more
        found = [
            FoundFile(f"{asset.public_id}.{asset.format}", asset.bytes, asset.created_at) for asset in page.resources
        ]
        return FilePage([file for file in found if is_file(file.name)], page.next_cursor)

    async def remove_drafts(self) -> None:
        """Cloudinary keeps an upload whole or not at all."""

    async def url(self, file: str) -> str:
        return f"{self._public_folder}/{file}"


def _unavailable(cause: httpx.HTTPError | httpx.Response) -> StorageUnavailableError:
    if isinstance(cause, httpx.Response):
        logger.error("storage failed", error="cloudinary did not deliver", status=cause.status_code)
    else:
        logger.error("storage failed", error=type(cause).__name__)
    return StorageUnavailableError()


@asynccontextmanager
async def open_cloudinary(
    settings: Settings, *, transport: httpx.AsyncBaseTransport | None = None
) -> AsyncIterator[CloudinaryStorage]:
    """Open the client of the account that the settings name."""
    assert settings.cloudinary_url is not None  # noqa: S101 - the settings see to it
    account = CloudinaryAccount.of(settings.cloudinary_url.get_secret_value())
    base = (settings.cloudinary_api_base or API_BASE).rstrip("/")
    async with open_http_client("", timeout_seconds=TIMEOUT_SECONDS, transport=transport) as client:
        api = CloudinaryApi(client, account, api_base=base)
        if (urlsplit(base).hostname or "").endswith(".cloudinary.com"):
            yield CloudinaryStorage(client, api, delivery=f"{DELIVERY}/{account.cloud}")
        else:
            # A stand-in delivers too, but phones need not reach it.
            uploads = f"{settings.public_url.rstrip('/')}/uploads"
            yield CloudinaryStorage(client, api, delivery=f"{base}/{account.cloud}", uploads_url=uploads)
