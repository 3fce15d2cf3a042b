"""Large objects in parts; unfinished ones leave nothing behind that has to be paid for."""

import asyncio
from datetime import datetime
from typing import Any

from aiohttp import ClientError as ConnectionBrokenError
from botocore.exceptions import BotoCoreError, ClientError

from common.logging import get_logger

logger = get_logger(__name__)

PART_BYTES = 5 * 1024 * 1024
"""The least that S3 takes as a part, but for the last one; what is not larger is put in one piece."""

ABORT_SECONDS = 10.0

FAILURES = (BotoCoreError, ClientError, ConnectionBrokenError, TimeoutError)


async def put_in_parts(client: Any, data: bytes, *, bucket: str, key: str, properties: dict[str, str]) -> None:
    """Store one object, one part after the other; whatever ends this early, its parts are removed.

    Raises:
        Exception: One of ``FAILURES``.
    """
    # Not aioboto3's ``upload_fileobj``: that one lets the parts lie when it is cancelled, as by a timeout.
    started = await client.create_multipart_upload(Bucket=bucket, Key=key, **properties)
    upload = {"Bucket": bucket, "Key": key, "UploadId": started["UploadId"]}
    try:
        parts = []
        for number, start in enumerate(range(0, len(data), PART_BYTES), start=1):
            sent = await client.upload_part(**upload, PartNumber=number, Body=data[start : start + PART_BYTES])
            parts.append({"PartNumber": number, "ETag": sent["ETag"]})
        await client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    except BaseException:
        await _abort(client, upload)
        raise


async def abort_begun_before(client: Any, moment: datetime, *, bucket: str) -> None:
    """Remove the parts of uploads whose processes are gone.

    Raises:
        Exception: One of ``FAILURES``.
    """
    answer = await client.list_multipart_uploads(Bucket=bucket)
    for found in answer.get("Uploads", []):
        if found["Initiated"] < moment:
            await _abort(client, {"Bucket": bucket, "Key": found["Key"], "UploadId": found["UploadId"]})


async def _abort(client: Any, upload: dict[str, str]) -> None:
    try:
        async with asyncio.timeout(ABORT_SECONDS):
            await client.abort_multipart_upload(**upload)
    except FAILURES as error:
        # It may also be complete: when only the answer to that was lost.
        logger.warning("parts of an upload may be left in the bucket", error=type(error).__name__)
