"""Stripe's webhooks: taken in once they are proven, worked off by asking Stripe what is true now."""

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from coin_service.inbox import InboxStore, Message
from coin_service.inbox_worker import PostponedError
from coin_service.models import Entry
from coin_service.providers import Standing
from coin_service.providers.stripe import StripeProvider, payment_name
from coin_service.returns import ReturnStore
from coin_service.settlement import CLAIM_SECONDS, SettlementService
from coin_service.stripe_signature import verify_signature
from common.clock import utc_now
from common.errors import BadRequestError

PRIVATE = frozenset(
    {
        "client_secret",
        "billing_details",
        "customer_details",
        "customer_email",
        "evidence",
        "payment_method_details",
        "receipt_email",
        "receipt_number",
        "receipt_url",
        "shipping",
    }
)
"""What is left out wherever it stands: a secret is never kept, and people are not ours to know."""

_EVENT_ID = re.compile(r"[A-Za-z0-9_]{1,255}")
_TYPE = re.compile(r"[A-Za-z0-9_.]{1,200}")
_ABOUT = re.compile(r"payment_intent\.succeeded|charge\.(refunded|dispute\..*)|refund\..*|charge\.refund\..*")
_NAME = re.compile(r"(pi|ch|py)_[A-Za-z0-9]{8,250}")


class StripeEvents:
    """Whatever comes, in whatever order and however often: an event only says which payment to look at."""

    def __init__(
        self,
        inbox: InboxStore,
        payments: StripeProvider,
        settlement: SettlementService,
        returns: ReturnStore,
        *,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._inbox = inbox
        self._payments = payments
        self._settlement = settlement
        self._returns = returns
        self._now = now

    async def receive(self, body: bytes, signature: str, secret: str) -> bool:
        """Take an event in; ``False`` if it was taken in before.

        Raises:
            InvalidSignatureError: It is not Stripe's, or too old.
            BadRequestError: It is signed, but no event.
        """
        verify_signature(body, signature, secret, now=self._now().timestamp())
        try:
            event = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise BadRequestError from error
        event_id, type_ = (event.get("id"), event.get("type")) if isinstance(event, dict) else (None, None)
        if not isinstance(event_id, str) or not isinstance(type_, str):
            raise BadRequestError
        if not _EVENT_ID.fullmatch(event_id) or not _TYPE.fullmatch(type_):
            raise BadRequestError
        return await self._inbox.add("stripe", event_id, type_, without_private(event))

    async def handle(self, message: Message) -> None:
        """Bring the payment that an event is about up to date; nothing is done for other events."""
        name = subject(message.type, message.content)
        if name is None:
            return
        try:
            await self.settle(name)
        except PostponedError:
            if (self._now() - message.received_at).total_seconds() < CLAIM_SECONDS:
                raise
            # Nobody has claimed it; whoever does from now on finds the money gone.

    async def settle(self, name: str) -> Entry | None:
        """Bring the payment of an intent or a charge up to date; return the entry that credited it, if any."""
        name = await self._payments.main_name(name)

        async def look() -> Standing:
            standing = await self._payments.standing(name)
            await self._returns.note(standing)
            return standing

        return await self._settlement.settle(payment_name(name), "stripe", look)


def subject(type_: str, event: Any) -> str | None:
    """Return the intent, or the charge without one, that an event is about; ``None`` if it is about nothing of ours."""
    if not _ABOUT.fullmatch(type_):
        return None
    data = event.get("data")
    found = data.get("object") if isinstance(data, dict) else None
    if not isinstance(found, dict):
        return None
    for field in ("payment_intent", "charge", "id"):
        name = found.get(field)
        if isinstance(name, dict):  # expanded
            name = name.get("id")
        if isinstance(name, str) and _NAME.fullmatch(name):
            return name
    return None


def without_private(value: Any) -> Any:
    """Copy JSON without what must not be kept."""
    if isinstance(value, dict):
        return {name: without_private(inner) for name, inner in value.items() if name not in PRIVATE}
    if isinstance(value, list):
        return [without_private(inner) for inner in value]
    return value
