"""Entries as they are stored, read so that one of a wrong shape is found and not stumbled over."""

from collections.abc import Callable
from typing import Any

from common.mongo import Document

WHOLE_NUMBERS = ("seq", "amount", "released", "balance", "held")
LATER_NUMBERS = ("debt", "debt_change")
"""Entries from before there were debts have none of these."""

FIELDS = (
    *("user_id", "kind", "type", "key", "resolves", "counts", "position", "type_position", "source", "earned"),
    *("payment_method", "transaction_id", "payment_id", "adjusts", "taken_back"),
    *("refunds", "refund_number", "refunded", "created_at"),
    *(*WHOLE_NUMBERS, *LATER_NUMBERS),
)
"""All that is looked at."""

TellRule = Callable[[str, str], None]
"""Takes the rule that an entry breaks, in one word, and what is wrong with it."""


def coins(entry: Document, name: str) -> int:
    """Read a whole number; what is none counts as 0, the chain's check of shapes tells it."""
    value: Any = entry.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def bought_by(first: Document) -> int:
    """Of a payment's first entry: the coins it pays for, also those whose money was back before."""
    return coins(first, "amount") + coins(first, "taken_back")


class Deviations:
    """Tells a deviation where it begins: the entries after it carry it on. Where it ends is told by nobody's fault."""

    def __init__(self, tell: TellRule) -> None:
        self._tell = tell
        self._known: dict[str, object] = {}

    def compare(
        self, name: str, size: object, message: str, *values: object, follows: bool, rule: str | None = None
    ) -> None:
        """Note how far off ``name`` is, 0 if it is not; without ``follows`` nothing is told.

        The message is put together from its values only when it is told: this is asked of every entry, many times.
        """
        if size == self._known.get(name, 0):
            return
        self._known[name] = size
        if size and follows:
            self._tell(rule or name, message.format(*values))
