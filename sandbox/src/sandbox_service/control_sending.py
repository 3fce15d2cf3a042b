"""Controls that make a vendor send something: AdMob a callback, Stripe a webhook, Google Play a notification."""

import json
import re
import secrets
import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Request
from pydantic import Field, StringConstraints
from starlette.concurrency import run_in_threadpool

from sandbox_service.admob.signing import AD_NETWORK
from sandbox_service.control import ControlModel
from sandbox_service.google.purchases import Kind
from sandbox_service.google.pushes import notification, push
from sandbox_service.google.tokens import is_well_formed
from sandbox_service.state import Sandbox
from sandbox_service.stripe.events import EVENT_TYPES, event_object, signature_header
from sandbox_service.stripe.ids import new_key
from sandbox_service.stripe.payments import split_id

router = APIRouter(prefix="/_sandbox", tags=["control"])

Json = dict[str, Any]
ShortText = Annotated[str, StringConstraints(max_length=500)]

ADMOB_PATH = "/api/coin/rewards/admob"
STRIPE_PATH = "/api/coin/webhooks/stripe"

PLAY_PATHS: dict[Kind, str] = {
    "product": "/api/coin/webhooks/google-play",
    "subscription": "/api/subscription/webhooks/google-play",
}

FORGERS_SECRET = "whsec_of_somebody_else_0000000000000000"


class Sending(ControlModel):
    duplicate: bool = False
    """Send it twice."""
    forged: bool = False
    """Sign it with another key."""
    age_seconds: float = Field(default=0, strict=True, ge=-1e9, le=1e9)
    """So long ago the vendor says it was."""

    @property
    def times(self) -> int:
        return 2 if self.duplicate else 1


class RewardOrder(Sending):
    """An ad that somebody watched to its end; ``None`` leaves the parameter out."""

    user_id: ShortText | None = None
    amount: int | None = Field(default=10, strict=True, ge=0, le=10**18)
    transaction_id: ShortText | None = Field(default_factory=lambda: secrets.token_hex(16))
    custom_data: ShortText | None = None
    ad_unit: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,20}$")] = "2747237135"
    reward_item: ShortText = "coins"


class WebhookOrder(Sending):
    """One of Stripe's events about a payment, as that stands now."""

    type: str
    id: str
    """The payment under any of its names."""
    event_id: Annotated[str, StringConstraints(pattern=r"^evt_[A-Za-z0-9]{1,200}$")] | None = None


class NotificationOrder(Sending):
    """One of Google Play's notifications about a purchase."""

    token: str
    notification_type: Annotated[int, Field(strict=True, ge=1, le=100)] | Literal["voided"]
    subscription_id: ShortText | None = None


@router.post("/admob/reward")
async def send_reward(order: RewardOrder, request: Request) -> Json:
    """Call back as AdMob does once an ad was watched."""
    fields = {
        "ad_network": AD_NETWORK,
        "ad_unit": order.ad_unit,
        "custom_data": order.custom_data,
        "reward_amount": None if order.amount is None else str(order.amount),
        "reward_item": order.reward_item,
        "timestamp": str(int((time.time() - order.age_seconds) * 1000)),
        "transaction_id": order.transaction_id,
        "user_id": order.user_id,
    }
    present = {name: value for name, value in fields.items() if value is not None}
    query = _sandbox(request).admob.query(present, forged=order.forged)
    return await _send(request, "GET", f"{ADMOB_PATH}?{query}", times=order.times)


@router.post("/stripe/webhook")
async def send_webhook(order: WebhookOrder, request: Request) -> Json:
    """Send an event as Stripe does, signed with ``STRIPE_WEBHOOK_SECRET``."""
    sandbox = _sandbox(request)
    secret = sandbox.settings.stripe_webhook_secret
    if secret is None:
        raise HTTPException(409, [{"field": "forged", "message": "STRIPE_WEBHOOK_SECRET is not set"}])
    if not re.fullmatch(EVENT_TYPES, order.type):
        raise HTTPException(
            422, [{"field": "type", "message": "payment_intent.…, charge.…, charge.dispute.…, refund.…"}]
        )
    parts = split_id(order.id)
    if parts is None:
        raise HTTPException(422, [{"field": "id", "message": "pi_, ch_, py_ or txn_ and 8 to 250 letters and digits"}])
    payment = sandbox.payments.get_or_make(parts[1])
    about = event_object(order.type, payment)
    if about is None:
        raise HTTPException(422, [{"field": "type", "message": "this payment has no such refund or dispute"}])
    event = {
        "id": order.event_id or f"evt_{new_key()}",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": sandbox.clock.timestamp() - int(order.age_seconds),
        "data": {"object": about},
        "livemode": payment.livemode,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": order.type,
    }
    body = json.dumps(event, indent=2).encode()
    signed_at = int(time.time() - order.age_seconds)
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        "Stripe-Signature": signature_header(
            body, FORGERS_SECRET if order.forged else secret.get_secret_value(), signed_at
        ),
    }
    sent = await _send(request, "POST", STRIPE_PATH, times=order.times, content=body, headers=headers)
    return {**sent, "event": event}


@router.post("/play/notify")
async def send_notification(order: NotificationOrder, request: Request) -> Json:
    """Push a notification as Google Play does by Pub/Sub; those of one-time products go to the coin service."""
    sandbox = _sandbox(request)
    if not is_well_formed(order.token):
        raise HTTPException(422, [{"field": "token", "message": "4 to 1000 of A-Z a-z 0-9 . _ ~ : -"}])
    purchase, now = sandbox.purchases.get_or_make(order.token, "subscription"), sandbox.clock.now()
    content = notification(purchase, order.notification_type, now, subscription_id=order.subscription_id)
    path, settings = PLAY_PATHS[purchase.kind], sandbox.settings
    token = await run_in_threadpool(  # making the key takes a moment
        sandbox.pushes.token,
        audience=settings.google_play_push_audience or f"{settings.webhooks_url}{path}",
        email=settings.google_play_push_email,
        age_seconds=order.age_seconds,
        forged=order.forged,
    )
    body = json.dumps(push(content, now)).encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    sent = await _send(request, "POST", path, times=order.times, content=body, headers=headers)
    return {**sent, "notification": content}


async def _send(request: Request, method: str, target: str, **arguments: Any) -> Json:
    return await _sandbox(request).deliveries.send(method, target, **arguments)


def _sandbox(request: Request) -> Sandbox:
    sandbox: Sandbox = request.app.state.sandbox
    return sandbox
