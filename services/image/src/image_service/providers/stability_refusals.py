"""What Stability's refusals mean, in v1's words and in v2beta's; its own text reaches nobody but the log."""

import json
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from common.clock import utc_now
from common.errors import ServiceError
from common.logging import get_logger
from image_service.errors import (
    ContentRejectedError,
    PromptLanguageError,
    ProviderFailedError,
    ProviderUnavailableError,
)

logger = get_logger(__name__)

MAX_WORD_CHARACTERS = 200

RATE_LIMIT_SECONDS = 60
"""How long the vendor locks a key that asked too often, and the most that we believe."""

MAX_WAITED_SECONDS = 5.0
"""A shorter ``Retry-After`` is waited out, a longer one is passed on."""

MODERATED = frozenset(("invalid_prompts", "content_moderation", "public_figure"))
OUT_OF_CREDIT = frozenset(("insufficient_balance", "payment_required"))


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is no success.

    Attributes:
        status: Of HTTP.
        name: What the vendor calls it.
        error: What is raised.
        is_answered: The engine works; it only refuses this.
        quiet_seconds: How long it wants not to be called at all.
        trouble: What the operator must hear, since nobody else can mend it.
    """

    status: int
    name: str
    error: ServiceError
    is_answered: bool = True
    quiet_seconds: float = 0.0
    trouble: str | None = None


def read_refusal(response: httpx.Response, body: bytes) -> Refusal:
    """Tell what the client hears, and what it says about the engine."""
    status, name = response.status_code, refusal_name(body)
    if status in (400, 403, 422) and name in MODERATED:
        return Refusal(status, name, ContentRejectedError())
    if status == httpx.codes.UNPROCESSABLE_ENTITY and name == "invalid_language":
        return Refusal(status, name, PromptLanguageError())
    if status == httpx.codes.PAYMENT_REQUIRED or name in OUT_OF_CREDIT:
        # v1 is believed to say it with 429, which then is no rate limit.
        away = ProviderUnavailableError(retry_after_seconds=RATE_LIMIT_SECONDS)
        return Refusal(status, name, away, trouble="the engine's account has no credit left")
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return _rate_limited(response, name)
    if status >= 500:
        logger.warning("the engine failed", status=status, vendor_code=name)
        return Refusal(status, name, ProviderUnavailableError(is_repeatable=True), is_answered=False)
    # A key, a permission, an engine that is retired, or an order that we should not have sent: the operator's to mend.
    return Refusal(status, name, ProviderFailedError(), is_answered=status >= 400, trouble="the engine refuses us")


def _rate_limited(response: httpx.Response, name: str) -> Refusal:
    seconds = _retry_after(response.headers.get("retry-after", ""))
    logger.warning("the engine is asked too often", vendor_code=name, seconds=seconds)
    if seconds is None:
        # Nobody said for how long: this order waits, and the breaker sees whether others must.
        unsaid = ProviderUnavailableError(retry_after_seconds=RATE_LIMIT_SECONDS)
        return Refusal(response.status_code, name, unsaid, is_answered=False)
    is_short = seconds <= MAX_WAITED_SECONDS
    error = ProviderUnavailableError(retry_after_seconds=max(1, round(seconds)), is_repeatable=is_short)
    return Refusal(response.status_code, name, error, quiet_seconds=seconds)


def _retry_after(declared: str) -> float | None:
    """Read seconds or a date (RFC 9110, section 10.2.3); at most ``RATE_LIMIT_SECONDS``."""
    if declared.isascii() and declared.isdigit() and len(declared) < 9:
        return float(min(int(declared), RATE_LIMIT_SECONDS))
    try:
        seconds = (parsedate_to_datetime(declared).astimezone(UTC) - utc_now()).total_seconds()
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, seconds), float(RATE_LIMIT_SECONDS))


def refusal_name(body: bytes) -> str:
    """Read what the vendor calls an error; v1 and v2beta call it alike, and differ only in what they say of it."""
    try:
        answer: Any = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    name = answer.get("name") if isinstance(answer, dict) else None
    return name[:MAX_WORD_CHARACTERS] if isinstance(name, str) else ""
