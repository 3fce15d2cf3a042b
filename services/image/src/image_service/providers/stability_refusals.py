"""What Stability's refusals mean, in v1's words and in v2beta's; its own text reaches nobody but the log."""

import json
import time
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

ALARM_SECONDS = 60.0
"""The operator is told of one trouble no oftener than this."""

MODERATED = frozenset(("invalid_prompts", "content_moderation", "public_figure"))
OUT_OF_CREDIT = frozenset(("insufficient_balance", "payment_required"))


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is no success.

    Attributes:
        error: What is raised.
        is_answered: The engine works; it only refuses this.
        quiet_seconds: How long it wants not to be called at all.
    """

    error: ServiceError
    is_answered: bool = True
    quiet_seconds: float = 0.0


def read_refusal(response: httpx.Response, body: bytes) -> Refusal:
    """Tell what the client hears, and what it says about the engine."""
    status, name = response.status_code, refusal_name(body)
    if status in (400, 403, 422) and name in MODERATED:
        return Refusal(ContentRejectedError())
    if status == httpx.codes.UNPROCESSABLE_ENTITY and name == "invalid_language":
        return Refusal(PromptLanguageError())
    if status == httpx.codes.PAYMENT_REQUIRED or name in OUT_OF_CREDIT:
        # v1 is believed to say it with 429, which then is no rate limit.
        _ALARM.tell("the engine's account has no credit left", status, name)
        return Refusal(ProviderUnavailableError(retry_after_seconds=RATE_LIMIT_SECONDS))
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return _rate_limited(response, name)
    if status >= 500:
        logger.warning("the engine failed", status=status, vendor_code=name)
        return Refusal(ProviderUnavailableError(is_repeatable=True), is_answered=False)
    # A key, a permission, an engine that is retired, or an order that we should not have sent: the operator's to mend.
    _ALARM.tell("the engine refuses us", status, name)
    return Refusal(ProviderFailedError(), is_answered=status >= 400)


def _rate_limited(response: httpx.Response, name: str) -> Refusal:
    seconds = _retry_after(response.headers.get("retry-after", ""))
    logger.warning("the engine is asked too often", vendor_code=name, seconds=seconds)
    if seconds is None:
        # Nobody said for how long: this order waits, and the breaker sees whether others must.
        return Refusal(ProviderUnavailableError(retry_after_seconds=RATE_LIMIT_SECONDS), is_answered=False)
    is_short = seconds <= MAX_WAITED_SECONDS
    error = ProviderUnavailableError(retry_after_seconds=max(1, round(seconds)), is_repeatable=is_short)
    return Refusal(error, quiet_seconds=seconds)


def _retry_after(declared: str) -> float | None:
    """Read seconds or a date (RFC 9110, section 10.2.3); at most ``RATE_LIMIT_SECONDS``."""
    if declared.isascii() and declared.isdigit() and len(declared) < 9:
        return float(min(int(declared), RATE_LIMIT_SECONDS))
    try:
        moment = parsedate_to_datetime(declared)
    except ValueError:
        return None
    seconds = (moment.astimezone(UTC) - utc_now()).total_seconds()
    return min(max(0.0, seconds), float(RATE_LIMIT_SECONDS))


def refusal_name(body: bytes) -> str:
    """Read what the vendor calls an error; v1 and v2beta call it alike, and differ only in what they say of it."""
    try:
        answer: Any = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    name = answer.get("name") if isinstance(answer, dict) else None
    return name[:MAX_WORD_CHARACTERS] if isinstance(name, str) else ""


class _Alarm:
    """Error lines for the operator, once in a while for each trouble: every order would say the same."""

    def __init__(self) -> None:
        self._told: dict[tuple[int, str], float] = {}

    def tell(self, event: str, status: int, name: str) -> None:
        now = time.monotonic()
        # Names are the vendor's: a made-up one a call must neither fill the memory nor the log.
        trouble = (status, name if len(self._told) < MAX_TROUBLES else "")
        if now - self._told.get(trouble, -ALARM_SECONDS) >= ALARM_SECONDS:
            self._told[trouble] = now
            logger.error(event, status=status, vendor_code=name)


MAX_TROUBLES = 100
_ALARM = _Alarm()
