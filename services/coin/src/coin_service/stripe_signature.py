"""Proof that a webhook is Stripe's: https://docs.stripe.com/webhooks, "Verify manually"."""

import hashlib
import hmac
import re

from coin_service.errors import InvalidSignatureError

TOLERANCE_SECONDS = 300
"""An older message may be a replay, a younger one has a clock that is wrong."""

MAX_HEADER_CHARACTERS = 4096

_SECONDS = re.compile(r"[0-9]{1,12}")


def verify_signature(body: bytes, header: str, secret: str, *, now: float) -> None:
    """Check ``Stripe-Signature``; several ``v1`` come while a secret is being rolled, other schemes are ignored.

    Args:
        body: As it was received, byte for byte.
        header: ``t=<seconds>,v1=<hex>[,v1=<hex>…]``.
        secret: All of it, ``whsec_`` included.
        now: Seconds since 1970.

    Raises:
        InvalidSignatureError: None of the signatures fits, or the time does not.
    """
    pairs = [part.strip().partition("=") for part in header[:MAX_HEADER_CHARACTERS].split(",")]
    times = [value for name, _, value in pairs if name == "t"]
    if len(times) != 1 or not _SECONDS.fullmatch(times[0]):
        raise InvalidSignatureError
    expected = hmac.new(secret.encode(), f"{times[0]}.".encode() + body, hashlib.sha256).hexdigest().encode()
    # All are compared: how long it takes tells nothing.
    fits = [hmac.compare_digest(expected, value.encode()) for name, _, value in pairs if name == "v1"]
    if not any(fits) or abs(now - int(times[0])) > TOLERANCE_SECONDS:
        raise InvalidSignatureError
