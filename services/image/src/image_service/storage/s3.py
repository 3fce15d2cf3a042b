"""Pictures in an S3 bucket; importing this loads botocore, so only who needs it does."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aioboto3
from botocore.config import Config
from botocore.exceptions import ClientError

from common.clock import utc_now
from common.logging import get_logger
from image_service.errors import StorageUnavailableError
from image_service.settings import Settings
from image_service.storage import (
    CACHE_CONTROL,
    CHUNK_BYTES,
    STALE_DRAFT_SECONDS,
    FilePage,
    FoundFile,
    checked,
    content_type,
    is_file,
)
from image_service.storage.s3_multipart import FAILURES, PART_BYTES, abort_begun_before, put_in_parts

logger = get_logger(__name__)

PUT_SECONDS = 60.0
"""One file, all parts and all tries of each."""

PAGE_FILES = 1000
"""The most that S3 lists at once."""

MISSING = frozenset(("404", "NoSuchKey"))
"""S3's words for a key that is not there; HEAD says the number."""

REFUSED = frozenset(("AccessDenied", "NotImplemented"))


@dataclass(frozen=True, slots=True)
class S3File:
    """An object that was there a moment ago."""

    storage: "S3Storage"
    key: str
    size: int

    def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
        return self.storage.read(self.key, start, stop)


class S3Storage:
    """One bucket, private unless ``bucket_url`` says where it can be read; no ACL is sent unless the settings ask."""

    def __init__(self, client: Any, settings: Settings, *, page_files: int = PAGE_FILES) -> None:
        self._page_files = page_files
        self._client = client
        self._bucket = settings.aws_s3_bucket_name or ""
        self._acl = {"ACL": settings.aws_s3_acl} if settings.aws_s3_acl else {}
        self._bucket_url = (settings.aws_s3_bucket_url or "").rstrip("/")
        self._is_self_hosted = settings.s3_endpoint_url is not None
        self._public_url = settings.public_url.rstrip("/")
        self._url_ttl_seconds = settings.s3_url_ttl_seconds

    async def prepare(self) -> None:
        """Make the bucket of a self-hosted S3; on AWS it is the operator's to make.

        Raises:
            StorageUnavailableError: The storage cannot be reached.
        """
        if not self._is_self_hosted:
            return
        with _told():
            try:
                await self._client.head_bucket(Bucket=self._bucket)
            except ClientError as error:
                if _code(error) not in MISSING:
                    raise
                await self._make_bucket()

    async def _make_bucket(self) -> None:
        try:
            await self._client.create_bucket(Bucket=self._bucket)
        except ClientError as error:
            # Another process may have been quicker.
            if _code(error) not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                raise

    async def put(self, file: str, data: bytes) -> None:
        key = checked(file)
        properties = {
            "ContentType": content_type(file),
            "CacheControl": CACHE_CONTROL,
            "ContentDisposition": "inline",
            **self._acl,
        }
        with _told():
            async with asyncio.timeout(PUT_SECONDS):
                if len(data) > PART_BYTES:
                    await put_in_parts(self._client, data, bucket=self._bucket, key=key, properties=properties)
                else:
                    await self._client.put_object(Bucket=self._bucket, Key=key, Body=data, **properties)

    async def find(self, file: str) -> S3File | None:
        key = checked(file)
        with _told():
            try:
                answer = await self._client.head_object(Bucket=self._bucket, Key=key)
            except ClientError as error:
                if _code(error) in MISSING:
                    return None
                raise
        return S3File(self, key, int(answer["ContentLength"]))

    async def read(self, key: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield the bytes of an object from ``start`` to just before ``stop``."""
        if start >= stop:
            return
        with _told():
            answer = await self._client.get_object(Bucket=self._bucket, Key=key, Range=f"bytes={start}-{stop - 1}")
            async with answer["Body"] as body:
                async for chunk in body.content.iter_chunked(CHUNK_BYTES):
                    yield chunk

    async def delete(self, file: str) -> None:
        key = checked(file)
        with _told():
            await self._client.delete_object(Bucket=self._bucket, Key=key)

    async def page(self, after: str | None = None) -> FilePage:
        start = {} if after is None else {"StartAfter": after}
        with _told():
            answer = await self._client.list_objects_v2(Bucket=self._bucket, MaxKeys=self._page_files, **start)
        found = answer.get("Contents", [])
        files = [
            FoundFile(each["Key"], int(each["Size"]), each["LastModified"]) for each in found if is_file(each["Key"])
        ]
        # By key rather than by S3's own token: that one does not live for ever.
        return FilePage(files, str(found[-1]["Key"]) if found and answer["IsTruncated"] else None)

    async def remove_drafts(self) -> None:
        before = utc_now() - timedelta(seconds=STALE_DRAFT_SECONDS)
        with _told():
            try:
                await abort_begun_before(self._client, before, bucket=self._bucket)
            except ClientError as error:
                if _code(error) not in REFUSED:
                    raise
                # A rule of the bucket can do this too; the service's own rights need not go so far.
                logger.info("unfinished uploads cannot be listed", s3_code=_code(error))

    async def url(self, file: str) -> str:
        if self._bucket_url:
            return f"{self._bucket_url}/{file}"
        if self._is_self_hosted:
            # The host is part of a signature, and phones do not reach this one.
            return f"{self._public_url}/uploads/{file}"
        with _told():
            signed: str = await self._client.generate_presigned_url(
                "get_object", Params={"Bucket": self._bucket, "Key": file}, ExpiresIn=self._url_ttl_seconds
            )
        return signed


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def _told() -> Iterator[None]:
    """Log whatever goes wrong with S3, and make it ours.

    Raises:
        StorageUnavailableError: Something did.
    """
    try:
        yield
    except FAILURES as error:
        code = _code(error) if isinstance(error, ClientError) else None
        logger.error("storage failed", error=type(error).__name__, s3_code=code)
        raise StorageUnavailableError from error


@asynccontextmanager
async def open_s3(settings: Settings) -> AsyncIterator[S3Storage]:
    """Open the one S3 client of this process."""
    secret = settings.aws_secret_access_key
    config = Config(
        signature_version="s3v4",  # else presigned addresses may be of the second version, which newer regions refuse
        s3={"addressing_style": "path" if settings.s3_endpoint_url else "virtual"},
        # The checksums that botocore adds by default are unknown to older S3-compatibles.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        connect_timeout=3,
        read_timeout=10,
        retries={"total_max_attempts": 3, "mode": "standard"},
        max_pool_connections=32,
    )
    session = aioboto3.Session()
    async with session.client(
        "s3",
        region_name=settings.aws_region,
        endpoint_url=settings.s3_endpoint_url,
        aws_access_key_id=settings.aws_access_key_id,
        aws_secret_access_key=None if secret is None else secret.get_secret_value(),
        config=config,
    ) as client:
        yield S3Storage(client, settings)
