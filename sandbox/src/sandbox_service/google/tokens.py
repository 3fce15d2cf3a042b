"""Purchase tokens that tell their own story: ``pro_yearly~sandbox-expired-1``."""

import re
from dataclasses import dataclass
from typing import Literal

State = Literal[
    "active",
    "grace_period",
    "on_hold",
    "paused",
    "canceled",
    "expired",
    "revoked",
    "pending",
    "pending_purchase_canceled",
    "purchased",
]
"""Of a subscription all but ``purchased``; of a one-time product ``purchased``, ``canceled`` and ``pending``."""

Trouble = Literal[
    "not-found", "gone", "expired-long-ago", "unavailable", "invalid", "mismatch",
    "unauthorized", "forbidden", "concurrent", "rate-limited",
]  # fmt: skip

_WELL_FORMED = re.compile(r"[A-Za-z0-9._~:-]{4,1000}")
_PRODUCT = re.compile(r"([a-z0-9][a-z0-9_.]{0,147})[~:].+", re.DOTALL)
_MARKER = re.compile(
    r"sandbox-(active|pending-purchase-canceled|pending|grace|on-hold|paused|canceled|expired-long-ago|expired"
    r"|revoked|not-found|gone|unavailable|invalid|mismatch|unauthorized|forbidden|concurrent|rate-limited"
    r"|error-[45]\d\d|test|acknowledged)"
)

_STATES: dict[str, State] = {
    "active": "active",
    "pending": "pending",
    "pending-purchase-canceled": "pending_purchase_canceled",
    "grace": "grace_period",
    "on-hold": "on_hold",
    "paused": "paused",
    "canceled": "canceled",
    "expired": "expired",
    "revoked": "revoked",
}
_TROUBLES: dict[str, Trouble] = {
    "not-found": "not-found",
    "gone": "gone",
    "expired-long-ago": "expired-long-ago",
    "unavailable": "unavailable",
    "invalid": "invalid",
    "mismatch": "mismatch",
    "unauthorized": "unauthorized",
    "forbidden": "forbidden",
    "concurrent": "concurrent",
    "rate-limited": "rate-limited",
}


@dataclass(frozen=True)
class TokenStory:
    """What a token asks for; the README has the table."""

    product_id: str | None
    state: State | None
    trouble: Trouble | None
    status: int | None
    test: bool
    acknowledged: bool


def is_well_formed(token: str) -> bool:
    return _WELL_FORMED.fullmatch(token) is not None


def read_token(token: str) -> TokenStory:
    markers = _MARKER.findall(token)
    product = _PRODUCT.fullmatch(token)
    return TokenStory(
        product_id=product[1] if product else None,
        state=next((_STATES[marker] for marker in markers if marker in _STATES), None),
        trouble=next((_TROUBLES[marker] for marker in markers if marker in _TROUBLES), None),
        status=next((int(marker[-3:]) for marker in markers if marker.startswith("error-")), None),
        test="test" in markers,
        acknowledged="acknowledged" in markers,
    )
