"""What ad networks call when somebody has watched an ad."""

from typing import Annotated

from fastapi import Depends, Request

from coin_service.errors import AdVerificationUnavailableError, InvalidSignatureError
from coin_service.inbox_worker import InboxWorker
from coin_service.rewards import RewardService
from common.errors import ServiceUnavailableError, responses
from common.routing import json_router
from common.schemas import Envelope, ReadModel, ok

router = json_router(prefix="/api/coin/rewards", tags=["coin"])


class ReceivedRead(ReadModel):
    """``duplicate``: it had been received before, and nothing happened."""

    received: bool = True
    duplicate: bool


async def reward_service(request: Request) -> RewardService:
    service: RewardService = request.app.state.reward_service
    return service


async def inbox_worker(request: Request) -> InboxWorker:
    worker: InboxWorker = request.app.state.inbox_worker
    return worker


@router.get(
    "/admob", responses=responses(InvalidSignatureError, ServiceUnavailableError, AdVerificationUnavailableError)
)
async def admob(
    request: Request,
    rewards: Annotated[RewardService, Depends(reward_service)],
    worker: Annotated[InboxWorker, Depends(inbox_worker)],
) -> Envelope[ReceivedRead]:
    """Take AdMob's server-side verification callback; its signature is over the query string as it was sent."""
    taken = await rewards.receive(request.scope["query_string"], worker)
    return ok(ReceivedRead(duplicate=not taken))
