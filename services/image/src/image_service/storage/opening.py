"""Choosing the storage."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from image_service.settings import Settings
from image_service.storage import Storage
from image_service.storage.cloudinary import open_cloudinary
from image_service.storage.local import LocalStorage


@asynccontextmanager
async def open_storage(
    settings: Settings, *, transport: httpx.AsyncBaseTransport | None = None
) -> AsyncIterator[Storage]:
    """Open the storage that the settings name; ``transport`` is httpx's, for tests."""
    match settings.storage_backend:
        case "local":
            local = LocalStorage(settings.uploads_dir, public_url=settings.public_url)
            await local.prepare()
            yield local
        case "cloudinary":
            async with open_cloudinary(settings, transport=transport) as cloudinary:
                yield cloudinary
        case "s3":
            from image_service.storage.s3 import open_s3  # botocore is heavy: forty megabytes for those who need it

            async with open_s3(settings) as s3:
                await s3.prepare()
                yield s3
