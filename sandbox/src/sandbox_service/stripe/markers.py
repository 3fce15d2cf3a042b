"""Ids that tell their own story: what follows the prefix begins with ``sandbox`` and names states.

``pi_sandboxProcessing0001`` is being processed; ``ch_sandboxCoins500Refunded7`` paid for 500 coins and was refunded.
"""

import re
from dataclasses import dataclass, replace
from typing import Literal

MAX_COINS = 1_000_000

_MARKER = re.compile(
    r"(RequiresPayment|RequiresConfirmation|RequiresAction|RequiresCapture|Processing|Canceled|Declined|Missing"
    r"|PartlyRefunded|Refunded|Disputed|Underpaid|Live|Eur|Gbp|Jpy|Coins\d{1,7}|Error[45]\d\d)"
)

MarkedStatus = Literal[
    "requires_payment_method",
    "requires_confirmation",
    "requires_action",
    "requires_capture",
    "processing",
    "canceled",
]


@dataclass(frozen=True)
class Markers:
    """What an id asks for; the README has the table."""

    status: MarkedStatus | None = None
    coins: int = 100
    currency: str | None = None
    missing: bool = False
    declined: bool = False
    refunded: bool = False
    partly_refunded: bool = False
    disputed: bool = False
    underpaid: bool = False
    livemode: bool = False
    fail_status: int | None = None


_MEANING = {
    "RequiresPayment": Markers(status="requires_payment_method"),
    "RequiresConfirmation": Markers(status="requires_confirmation"),
    "RequiresAction": Markers(status="requires_action"),
    "RequiresCapture": Markers(status="requires_capture"),
    "Processing": Markers(status="processing"),
    "Canceled": Markers(status="canceled"),
    "Declined": Markers(status="requires_payment_method", declined=True),
    "Missing": Markers(missing=True),
    "PartlyRefunded": Markers(partly_refunded=True),
    "Refunded": Markers(refunded=True),
    "Disputed": Markers(disputed=True),
    "Underpaid": Markers(underpaid=True),
    "Live": Markers(livemode=True),
    "Eur": Markers(currency="eur"),
    "Gbp": Markers(currency="gbp"),
    "Jpy": Markers(currency="jpy"),
}


def read_markers(key: str) -> Markers:
    """The markers in the part of an id behind its prefix, read from the left until something else comes."""
    markers = Markers()
    if not key.startswith("sandbox"):
        return markers
    position = len("sandbox")
    while match := _MARKER.match(key, position):
        position = match.end()
        word = match[1]
        if word.startswith("Coins"):
            markers = replace(markers, coins=min(max(int(word[5:]), 1), MAX_COINS))
        elif word.startswith("Error"):
            markers = replace(markers, fail_status=int(word[5:]))
        else:
            meaning = _MEANING[word]
            changed = {name: value for name, value in vars(meaning).items() if value != getattr(Markers(), name)}
            markers = replace(markers, **changed)
    return markers
