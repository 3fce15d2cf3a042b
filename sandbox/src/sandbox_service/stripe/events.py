"""Stripe's webhooks: what an event holds, and how it is signed."""

import hashlib
import hmac

from sandbox_service.stripe import objects
from sandbox_service.stripe.objects import Json
from sandbox_service.stripe.payments import Payment

EVENT_TYPES = r"(payment_intent|charge|charge\.dispute|charge\.refund|refund)\.[a-z_]{1,60}"


def event_object(type_: str, payment: Payment) -> Json | None:
    """What an event of this type is about, as it stands now; ``None`` if the payment has no such thing."""
    subject, _, _ = type_.rpartition(".")
    match subject:
        case "payment_intent":
            return objects.payment_intent(payment)
        case "charge":
            return objects.charge(payment)
        case "charge.dispute":
            return objects.dispute(payment, payment.dispute) if payment.dispute else None
        case _:
            return objects.refund(payment, payment.refunds[-1]) if payment.refunds else None


def signature_header(body: bytes, secret: str, timestamp: int) -> str:
    """``Stripe-Signature``: HMAC-SHA256 of ``<t>.<body>`` under the whole secret, ``whsec_`` included."""
    mac = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={mac}"
