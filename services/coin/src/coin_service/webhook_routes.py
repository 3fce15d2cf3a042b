"""What vendors call when something has become of a payment."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request

from coin_service.errors import InvalidSignatureError, WebhooksNotConfiguredError
from coin_service.inbox_worker import InboxWorker
from coin_service.play_events import PlayEvents
from coin_service.settings import Settings
from coin_service.stripe_events import StripeEvents
from common.errors import BadRequestError, ServiceUnavailableError, ValidationFailedError, responses
from common.schemas import Envelope, ReadModel, ok

# No JSON route: what is signed are the bytes, whatever they are called.
router = APIRouter(prefix="/api/coin/webhooks", tags=["coin"])


class WebhookRead(ReadModel):
    """``duplicate``: it had been received before, and nothing happened."""

    received: bool = True
    duplicate: bool


async def stripe_events(request: Request) -> StripeEvents:
    events: StripeEvents = request.app.state.stripe_events
    return events


async def play_events(request: Request) -> PlayEvents:
    events: PlayEvents = request.app.state.play_events
    return events


async def inbox_worker(request: Request) -> InboxWorker:
    worker: InboxWorker = request.app.state.inbox_worker
    return worker


@router.post(
    "/stripe",
    responses=responses(
        InvalidSignatureError,
        BadRequestError,
        ValidationFailedError,
        WebhooksNotConfiguredError,
        ServiceUnavailableError,
    ),
)
async def stripe(
    request: Request,
    events: Annotated[StripeEvents, Depends(stripe_events)],
    worker: Annotated[InboxWorker, Depends(inbox_worker)],
    signature: Annotated[str, Header(alias="Stripe-Signature")] = "",
) -> Envelope[WebhookRead]:
    """Take one of Stripe's events in; it is worked off afterwards."""
    settings: Settings = request.app.state.settings
    if settings.stripe_webhook_secret is None:
        raise WebhooksNotConfiguredError
    taken = await events.receive(await request.body(), signature, settings.stripe_webhook_secret.get_secret_value())
    worker.wake()
    return ok(WebhookRead(duplicate=not taken))


@router.post(
    "/google-play",
    responses=responses(
        InvalidSignatureError, ValidationFailedError, WebhooksNotConfiguredError, ServiceUnavailableError
    ),
)
async def google_play(
    request: Request,
    events: Annotated[PlayEvents, Depends(play_events)],
    worker: Annotated[InboxWorker, Depends(inbox_worker)],
    authorization: Annotated[str, Header()] = "",
) -> Envelope[WebhookRead]:
    """Take one of Google Play's notifications in, as Pub/Sub pushes it; it is worked off afterwards."""
    taken = await events.receive(await request.body(), authorization)
    worker.wake()
    return ok(WebhookRead(duplicate=not taken))
