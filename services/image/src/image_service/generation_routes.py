"""HTTP of generations that are followed while they are drawn."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Path, Query, Request, Response
from fastapi.sse import EventSourceResponse

from common.auth import CurrentUserDep
from common.clients.image import GenerationNotFoundError
from common.errors import InvalidTokenError, ServiceUnavailableError, ValidationFailedError, responses
from common.idempotency import REPLAYED_HEADER
from common.routing import json_router
from common.schemas import Envelope, ok
from image_service.dependencies import FollowersDep, FollowingDep, ImageServiceDep
from image_service.errors import GenerationFinishedError, GenerationStartedError, TooManyFollowersError
from image_service.following import Following
from image_service.generation_schemas import OneGenerationRead
from image_service.models import Generation
from image_service.preferences import APPLIED_HEADER, RESPOND_ASYNC

MAX_WAIT_SECONDS = 60

_EVENTS = """\
retry: 1000

event: progress
data: {"id": "…", "status": "running", "progress": 10, …}
id: 3

event: succeeded
data: {"id": "…", "status": "succeeded", "progress": 100, "images": […], …}
id: 5

"""

router = json_router(prefix="/api/image/generations", tags=["image"])

GenerationId = Annotated[str, Path(description="Of the order's `Location`, or `generationId`")]
WaitSeconds = Annotated[
    int, Query(ge=0, le=MAX_WAIT_SECONDS, description="Seconds to wait for the end; then it is shown as it is")
]
LastEventId = Annotated[
    str | None, Header(alias="Last-Event-ID", description="`id` of the last event seen; the stream goes on after it")
]


ACCEPTED: dict[int | str, dict[str, Any]] = {
    HTTPStatus.ACCEPTED: {
        "model": Envelope[OneGenerationRead],
        "description": "With `Prefer: respond-async`: the coins are set aside, the pictures are on their way.",
        "headers": {
            "Location": {
                "description": "Where the generation can be followed",
                "schema": {"type": "string", "examples": ["/api/image/generations/65f1c0ffee65f1c0ffee65f1"]},
            },
            APPLIED_HEADER: {"schema": {"type": "string", "const": RESPOND_ASYNC}},
            REPLAYED_HEADER: {
                "description": "An earlier request had made this order",
                "schema": {"type": "string", "const": "true"},
            },
        },
    }
}
"""For the schema of the order's own address."""


async def accepted(following: Following, generation: Generation, is_replay: bool) -> Response:
    """Answer an order that is followed from here on instead of being waited for."""
    read = OneGenerationRead(generation=await following.read(generation))
    headers = {"Location": f"{router.prefix}/{generation.id}", APPLIED_HEADER: RESPOND_ASYNC}
    return Response(
        ok(read).model_dump_json(by_alias=True),
        HTTPStatus.ACCEPTED,
        headers | ({REPLAYED_HEADER: "true"} if is_replay else {}),
        media_type="application/json",
    )


async def follower(user: CurrentUserDep, followers: FollowersDep) -> AsyncIterator[None]:
    """Take a place among those who follow, until the answer has ended or its client has left."""
    with followers.place(user.id):
        yield


@router.get(
    "/{generation_id}",
    responses=responses(
        InvalidTokenError,
        GenerationNotFoundError,
        ValidationFailedError,
        TooManyFollowersError,
        ServiceUnavailableError,
    ),
)
async def get_generation(
    generation_id: GenerationId,
    user: CurrentUserDep,
    service: ImageServiceDep,
    following: FollowingDep,
    followers: FollowersDep,
    request: Request,
    wait: WaitSeconds = 0,
) -> Envelope[OneGenerationRead]:
    """Show one generation, at once or as soon as it has ended."""
    generation = await service.find(user.id, generation_id)
    if wait:
        with followers.place(user.id):
            generation = await _unless_gone(request, following.until_final(generation, wait)) or generation
    return ok(OneGenerationRead(generation=await following.read(generation)))


@router.get(
    "/{generation_id}/events",
    response_class=Response,
    dependencies=[Depends(follower)],
    responses={
        HTTPStatus.OK: {
            "description": "`progress` at every change, then `succeeded`, or `failed` (of a canceled one too), and the "
            "end; `data` is the generation as `GET` shows it. A stream that ends before is to be opened again.",
            "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EVENTS}},
        },
        HTTPStatus.NO_CONTENT: {"description": "The last event was the one of `Last-Event-ID`: do not come back."},
        **responses(
            InvalidTokenError,
            GenerationNotFoundError,
            ValidationFailedError,
            TooManyFollowersError,
            ServiceUnavailableError,
        ),
    },
)
async def get_events(
    generation_id: GenerationId,
    user: CurrentUserDep,
    service: ImageServiceDep,
    following: FollowingDep,
    last_event_id: LastEventId = None,
) -> Response:
    """Follow one generation by server-sent events."""
    generation = await service.find(user.id, generation_id)
    if following.has_seen_all(generation, last_event_id):
        return Response(status_code=HTTPStatus.NO_CONTENT)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return EventSourceResponse(following.events(generation, last_event_id), headers=headers)


@router.delete(
    "/{generation_id}",
    responses=responses(
        InvalidTokenError,
        GenerationNotFoundError,
        GenerationStartedError,
        GenerationFinishedError,
        ValidationFailedError,
    ),
)
async def cancel_generation(
    generation_id: GenerationId, user: CurrentUserDep, service: ImageServiceDep, following: FollowingDep
) -> Envelope[OneGenerationRead]:
    """Call off what has not been sent to the engine; nothing is charged."""
    generation = await service.cancel(user.id, generation_id)
    return ok(OneGenerationRead(generation=await following.read(generation)))


ResultT = TypeVar("ResultT")


async def _unless_gone(request: Request, action: Coroutine[Any, Any, ResultT]) -> ResultT | None:
    """Return what ``action`` does; ``None``, and it is broken off, if the client leaves first.

    A server lets a request go on whose client has left; one that only waits has no reason to.
    """

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    acting, leaving = asyncio.create_task(action), asyncio.create_task(gone())
    try:
        await asyncio.wait((acting, leaving), return_when=asyncio.FIRST_COMPLETED)
        return acting.result() if acting.done() else None
    finally:
        acting.cancel()
        leaving.cancel()
