"""HTTP of the image service."""

import asyncio
from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.convertors import StringConvertor, register_url_convertor

from common.auth import CurrentUserDep
from common.clients.coin import InsufficientCoinsError
from common.errors import (
    IdempotencyKeyReusedError,
    InvalidTokenError,
    NotFoundError,
    RequestInProgressError,
    ServiceUnavailableError,
    UpstreamError,
    UpstreamTimeoutError,
    ValidationFailedError,
    responses,
)
from common.idempotency import REPLAYED_HEADER, IdempotencyKeyDep, chosen_key
from common.pagination import PageQueryDep
from common.routing import json_router
from common.schemas import Envelope, ok
from image_service.answers import PictureMarks, file_response
from image_service.dependencies import FollowingDep, GalleryDep, ImageServiceDep, ProviderDep, StorageDep
from image_service.errors import (
    ChargePendingError,
    ContentRejectedError,
    GenerationFailedError,
    ImageNotFoundError,
    PromptLanguageError,
    ProviderFailedError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    RangeNotSatisfiableError,
    StorageUnavailableError,
    TooBusyError,
    TooManyGenerationsError,
)
from image_service.generation_routes import ACCEPTED, accepted
from image_service.preferences import RespondAsyncDep
from image_service.schemas import (
    DeletedRead,
    FullImageRead,
    GeneratedImageRead,
    GenerateRequest,
    GenerationRead,
    HistoryImageRead,
    HistoryRead,
    ImageRead,
)
from image_service.storage import is_file


class ImageIdConvertor(StringConvertor):
    """Anything but the names of the other routes, whose wrong methods are 405 and no unknown picture."""

    regex = "(?!(?:generate|generations|history|options|quote)$)[^/]+"


register_url_convertor("image_id", ImageIdConvertor())

router = json_router(prefix="/api/image", tags=["image"])
uploads = APIRouter(prefix="/uploads", tags=["uploads"])

ImageId = Annotated[str, Path(description="Of `generate` or `history`")]


@router.post(
    "/generate",
    response_model=Envelope[GenerationRead],
    responses=ACCEPTED
    | responses(
        InvalidTokenError,
        InsufficientCoinsError,
        ContentRejectedError,
        RequestInProgressError,
        ValidationFailedError,
        IdempotencyKeyReusedError,
        PromptLanguageError,
        TooManyGenerationsError,
        ProviderFailedError,
        UpstreamError,
        ProviderUnavailableError,
        ServiceUnavailableError,
        StorageUnavailableError,
        GenerationFailedError,
        ChargePendingError,
        TooBusyError,
        ProviderTimeoutError,
        UpstreamTimeoutError,
    ),
)
async def generate(
    body: GenerateRequest,
    user: CurrentUserDep,
    key: IdempotencyKeyDep,
    prefers_async: RespondAsyncDep,
    service: ImageServiceDep,
    following: FollowingDep,
    gallery: GalleryDep,
    provider: ProviderDep,
) -> Response:
    """Draw the pictures of one order; costs coins for each delivered, unless a subscription covers them."""
    key, asked = chosen_key(key, body.idempotency_key), body.fingerprint()
    order = body.to_order(cfg_scale=provider.capabilities.default_cfg_scale)
    if prefers_async:
        return await accepted(following, *await service.start(user.id, order, key=key, fingerprint=asked))
    delivery = await service.generate(user.id, order, key=key, fingerprint=asked)
    marks = PictureMarks()
    images, pictures, image_data = delivery.images, list[bytes](), None
    if body.response_format == "base64":
        images, pictures = await gallery.files_that_are_there(images, at_hand=delivery.files)
        image_data = marks.next()
    read = [GeneratedImageRead.of(image, urls=await gallery.urls(image), image_data=image_data) for image in images]
    headers = {REPLAYED_HEADER: "true"} if delivery.is_replay else {}
    return marks.response(GenerationRead.of(delivery.generation, read), pictures, headers)


@router.get("/history", responses=responses(InvalidTokenError, ValidationFailedError))
async def history(user: CurrentUserDep, query: PageQueryDep, gallery: GalleryDep) -> Envelope[HistoryRead]:
    """List the user's pictures, newest first, without their bytes."""
    images, pagination = await gallery.page(user.id, query)
    urls = await asyncio.gather(*(gallery.urls(image) for image in images))
    read = [HistoryImageRead.of(image, urls=each) for image, each in zip(images, urls, strict=True)]
    return ok(HistoryRead(images=read, pagination=pagination))


@router.get(
    "/{image_id:image_id}",
    response_model=Envelope[ImageRead],
    responses=responses(InvalidTokenError, ImageNotFoundError, ValidationFailedError, StorageUnavailableError),
)
async def get_image(
    image_id: ImageId,
    user: CurrentUserDep,
    gallery: GalleryDep,
    include: Annotated[Literal["imageData"] | None, Query(description="`imageData` adds the picture's bytes")] = None,
) -> Response:
    """Show one picture."""
    image = await gallery.get(user.id, image_id)
    marks = PictureMarks()
    pictures = [await gallery.file_if_there(image)] if include else []
    read = FullImageRead.full(image, urls=await gallery.urls(image), image_data=marks.next() if include else None)
    return marks.response(ImageRead(image=read), pictures, {})


@router.delete(
    "/{image_id:image_id}", responses=responses(InvalidTokenError, ImageNotFoundError, ValidationFailedError)
)
async def delete_image(image_id: ImageId, user: CurrentUserDep, gallery: GalleryDep) -> Envelope[DeletedRead]:
    """Delete one picture and its file."""
    await gallery.delete(user.id, image_id)
    return ok(DeletedRead(id=image_id.lower()))


@uploads.get(
    "/{name}",
    response_class=Response,
    responses={
        HTTPStatus.OK: {"content": {"image/png": {}, "image/webp": {}}},
        HTTPStatus.PARTIAL_CONTENT: {
            "description": "The one range that was asked for",
            "content": {"image/png": {}, "image/webp": {}},
        },
        HTTPStatus.NOT_MODIFIED: {"description": "`If-None-Match` names this file: the client has it already"},
        **responses(NotFoundError, RangeNotSatisfiableError, ValidationFailedError, StorageUnavailableError),
    },
)
@uploads.head("/{name}", include_in_schema=False)
async def get_upload(name: str, request: Request, storage: StorageDep) -> Response:
    """Load a picture's file; whoever knows its unguessable name may. One range at a time is served."""
    stored = await storage.find(name) if is_file(name) else None
    if stored is None:
        raise NotFoundError
    try:
        return await file_response(request, name, stored)
    except StorageUnavailableError:
        if await storage.find(name) is None:  # deleted since
            raise NotFoundError from None
        raise
