"""What vendors call when something has become of a payment."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request

from coin_service.errors import InvalidSignatureError, WebhooksNotConfiguredError
from coin_service.inbox_worker import InboxWorker
from coin_service.settings import Settings
from coin_service.stripe_events import StripeEvents
from common.errors import BadRequestError, ServiceUnavailableError, responses
from common.schemas import Envelope, ReadModel, ok

# No JSON route: what is signed are the bytes, whatever they are called.
router = APIRouter(prefix="/api/coin/webhooks", tags=["coin"])


class WebhookRead(ReadModel):
    """``duplicate``: it had been received before, and nothing happened."""

    received: bool = True
    duplicate: bool


def stripe_events(request: Request) -> StripeEvents:
    events: StripeEvents = request.app.state.stripe_events
    return events


def inbox_worker(request: Request) -> InboxWorker:
    worker: InboxWorker = request.app.state.inbox_worker
    return worker


@router.post(
    "/stripe",
    responses=responses(InvalidSignatureError, BadRequestError, WebhooksNotConfiguredError, ServiceUnavailableError),
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
