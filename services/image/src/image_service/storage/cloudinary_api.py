"""Cloudinary's Upload and Admin APIs, as far as pictures need them.

https://cloudinary.com/documentation/image_upload_api_reference and /admin_api; both in their own version 1.1.
"""

import asyncio
import json
from datetime import datetime
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from common.clock import utc_now
from common.http import BodyTooLargeError, read_capped
from common.logging import get_logger
from image_service.cloudinary_account import CloudinaryAccount
from image_service.errors import StorageUnavailableError
from image_service.storage import content_type, stem

logger = get_logger(__name__)

API_BASE = "https://api.cloudinary.com"
MAX_ANSWER_BYTES = 4 * 1024 * 1024
"""Of a list of five hundred assets; each takes less than a thousand bytes."""

PAGE_ASSETS = 500
"""The most that is listed at once."""

ATTEMPTS = 3
CALL_SECONDS = 60.0
"""All tries of one call."""

TRANSIENT_STATUSES = frozenset((420, 429, 500, 502, 503, 504))
"""420 is Cloudinary's own word for too many requests."""

ModelT = TypeVar("ModelT", bound=BaseModel)


class TransientError(StorageUnavailableError):
    """Cloudinary was not reached or stumbled; a repeat may help, and none of these calls does harm twice."""


class StaleCursorError(StorageUnavailableError):
    """The list cannot be gone on with from there."""


class _Uploaded(BaseModel):
    public_id: str
    version: int
    signature: str
    format: str
    bytes: int


class _Destroyed(BaseModel):
    result: str


class Asset(BaseModel):
    """One picture of a list."""

    public_id: str
    format: str
    bytes: int
    created_at: datetime


class AssetPage(BaseModel):
    """Some of the pictures; with ``next_cursor`` there are more."""

    resources: list[Asset]
    next_cursor: str | None = None


class CloudinaryApi:
    """Signed calls for one account. Each raises ``StorageUnavailableError``, whatever went wrong: logs say what."""

    def __init__(self, client: httpx.AsyncClient, account: CloudinaryAccount, *, api_base: str = API_BASE) -> None:
        self._client = client
        self._account = account
        self._base = f"{api_base.rstrip('/')}/v1_1/{account.cloud}"

    async def upload(self, file: str, data: bytes) -> None:
        """Store a picture under its name without the suffix, byte by byte as it is."""
        public_id = stem(file)
        answer = await self._call(
            "POST",
            "/image/upload",
            signed={"public_id": public_id, "overwrite": "true"},
            files={"file": (file, data, content_type(file))},
        )
        uploaded = _parse(_Uploaded, answer)
        problem = (
            "another asset"
            if uploaded.public_id != public_id
            else "a changed file: does an upload preset transform it?"
            if uploaded.bytes != len(data) or f".{uploaded.format}" != file.removeprefix(public_id)
            else "an answer that cloudinary has not signed"
            if not self._account.has_signed(public_id, uploaded.version, uploaded.signature)
            else None
        )
        if problem:
            logger.error("storage failed", error="cloudinary stored something else", found=problem)
            raise StorageUnavailableError

    async def destroy(self, public_id: str) -> None:
        """Remove a picture, and its copies in the delivery network."""
        answer = await self._call("POST", "/image/destroy", signed={"public_id": public_id, "invalidate": "true"})
        result = _parse(_Destroyed, answer).result
        if result not in ("ok", "not found"):
            logger.error("storage failed", error="cloudinary did not destroy an asset", found=result[:40])
            raise StorageUnavailableError

    async def page(self, cursor: str | None) -> AssetPage:
        """List uploaded pictures, those of other applications among them.

        Raises:
            StaleCursorError: ``cursor`` is none any more.
        """
        query = {"max_results": str(PAGE_ASSETS)} | ({"next_cursor": cursor} if cursor else {})
        answer = await self._call("GET", "/resources/image/upload", params=query)
        return _parse(AssetPage, answer)

    async def _call(self, method: str, path: str, *, signed: dict[str, str] | None = None, **content: Any) -> Any:
        retrying = AsyncRetrying(
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.2, max=2.0),
            retry=retry_if_exception_type(TransientError),
            reraise=True,
        )
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return await retrying(self._send, method, path, signed, content)
        except TimeoutError as error:
            logger.error("storage failed", error="TimeoutError", call=path)
            raise StorageUnavailableError from error

    async def _send(self, method: str, path: str, signed: dict[str, str] | None, content: dict[str, Any]) -> Any:
        arguments = dict(content)
        if signed is None:
            arguments["auth"] = (self._account.key, self._account.secret)
        else:
            # The signature is good for an hour from its time on.
            now = str(int(utc_now().timestamp()))
            arguments["data"] = self._account.signed({**signed, "timestamp": now})
        try:
            async with self._client.stream(method, f"{self._base}{path}", **arguments) as response:
                body = await read_capped(response, MAX_ANSWER_BYTES)
        except (httpx.HTTPError, BodyTooLargeError) as error:
            logger.warning("cloudinary was not reached", error=type(error).__name__, call=path)
            raise TransientError from error
        if response.status_code != httpx.codes.OK:
            raise _refused(response, path, has_cursor="next_cursor" in arguments.get("params", {}))
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            logger.warning("cloudinary answered no JSON", call=path)
            raise TransientError from error


def _refused(response: httpx.Response, path: str, *, has_cursor: bool) -> StorageUnavailableError:
    # Not the vendor's text: of a wrong signature it repeats what was signed.
    status, request_id = response.status_code, response.headers.get("x-request-id")
    logger.error("storage failed", error="cloudinary refused", call=path, status=status, vendor_request_id=request_id)
    if status in TRANSIENT_STATUSES:
        return TransientError()
    return StaleCursorError() if status == httpx.codes.BAD_REQUEST and has_cursor else StorageUnavailableError()


def _parse(model: type[ModelT], answer: Any) -> ModelT:
    try:
        return model.model_validate(answer)
    except ValidationError as error:
        logger.error("storage failed", error="cloudinary answered what cannot be read", expected=model.__name__)
        raise StorageUnavailableError from error
