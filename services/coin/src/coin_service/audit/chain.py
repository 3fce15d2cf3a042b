"""One wallet's entries, added up from the first to the last.

On purpose this shares nothing with ``coin_service.models``: a mistake there would otherwise prove itself right. It
reads documents as they are stored, so that one of a wrong shape is found and not stumbled over.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from coin_service.audit.report import Fault, OpenHold
from common.mongo import Document

WHOLE_NUMBERS = ("seq", "amount", "released", "balance", "held")
LATER_NUMBERS = ("debt", "debt_change")
"""Entries from before there were debts have none of these."""

FIELDS = (
    *("user_id", "kind", "type", "key", "resolves", "counts", "position", "type_position"),
    *("payment_method", "payment_id", "adjusts", "taken_back", "created_at"),
    *(*WHOLE_NUMBERS, *LATER_NUMBERS),
)
"""All that is looked at."""

LISTED_KINDS = ("credit", "debit", "capture")
SILENT_KINDS = ("hold", "void", "note")
MOMENT_UNKNOWN = datetime(1970, 1, 1, tzinfo=UTC)


class Chain:
    """Takes a wallet's entries in their order and tells each that does not follow from those before it.

    Keeps the sums and the open holds, never the entries.
    """

    def __init__(self, user_id: str, tell: Callable[[Fault], None]) -> None:
        self.user_id = user_id
        self.balance = 0
        self.held = 0
        self.debt = 0
        self.open_holds: dict[str, OpenHold] = {}
        self._tell = tell
        self._seq = 0
        self._counts: dict[str, int] = {}
        self._listed_sum = 0
        self._taken_back: dict[str, int] = {}
        self._deviations: dict[str, object] = {}
        self._entry: Document = {}

    def add(self, entry: Document) -> None:
        """Check the next entry."""
        self._entry = entry
        follows = self._check_seq()
        self._check_shape()
        self._apply(entry.get("kind"), self._coins("amount"), self._coins("released"))
        self.debt += self._coins("debt_change")
        self._take_back(entry.get("adjusts") or entry.get("payment_id"))
        self._list()
        self._compare(follows=follows)

    def end(self) -> None:
        """Check what can only be said of the whole wallet."""
        held_now = self._coins("held")
        total = self._coins("balance") + held_now
        if total != self._listed_sum:
            self._fault(
                "sum", f"balance and held are {total} together, the listed entries add up to {self._listed_sum}"
            )
        held = sum(hold.coins for hold in self.open_holds.values())
        if held_now != held:
            self._fault("sum", f"held is {held_now}, the open holds add up to {held}")

    def _check_shape(self) -> None:
        for name in (*WHOLE_NUMBERS, *LATER_NUMBERS):
            value = self._entry.get(name, 0 if name in LATER_NUMBERS else None)
            if isinstance(value, bool) or not isinstance(value, int):
                self._fault("shape", f"{name} is {value!r}, no whole number")
        if not isinstance(self._entry.get("key"), str):
            self._fault("shape", f"key is {self._entry.get('key')!r}")

    def _check_seq(self) -> bool:
        """Tell a gap; what comes after one can be compared again only with itself."""
        seq, expected = self._coins("seq"), self._seq + 1
        self._seq = seq
        if seq == expected:
            return True
        self._fault("sequence", f"number {expected} is expected here")
        return False

    def _apply(self, kind: object, amount: int, released: int) -> None:
        if released and kind != "capture":
            self._fault("amount", f"a {kind} releases {released} coins")
        match kind:
            case "credit":
                self.balance += amount
            case "debit":
                self.balance -= amount
            case "hold":
                self.balance -= amount
                self.held += amount
                self._open_hold(amount)
            case "capture":
                self.balance += released
                self.held -= amount + released
                self._end_hold(amount + released)
            case "void":
                self.balance += amount
                self.held -= amount
                self._end_hold(amount)
            case "note":
                if amount:
                    self._fault("amount", f"a note moves {amount} coins")
            case _:
                self._fault("shape", f"kind is {kind!r}")

    def _open_hold(self, amount: int) -> None:
        key, created_at = self._entry.get("key"), self._entry.get("created_at")
        if not isinstance(created_at, datetime):
            self._fault("shape", f"created_at is {created_at!r}")
            created_at = MOMENT_UNKNOWN
        if str(key) in self.open_holds:
            self._fault("hold", f"{key!r} is held already")
        self.open_holds[str(key)] = OpenHold(self.user_id, str(key), amount, created_at, self._seq)

    def _end_hold(self, coins: int) -> None:
        resolves = self._entry.get("resolves")
        hold = self.open_holds.pop(str(resolves), None)
        is_tombstone = self._entry.get("kind") == "void" and resolves == self._entry.get("key") and coins == 0
        if hold is None and not is_tombstone:
            self._fault("hold", f"ends {resolves!r}, which is not open")
        if hold is not None and hold.coins != coins:
            self._fault("hold", f"ends {resolves!r} with {coins} coins, {hold.coins} were set aside")

    def _take_back(self, payment_id: object) -> None:
        """Of a payment whose money went back: what was taken, or became debt, adds up to what the entry says."""
        if payment_id is None or "taken_back" not in self._entry:
            return
        name, carried, change = str(payment_id), self._coins("taken_back"), self._coins("amount")
        if "adjusts" in self._entry:
            change = -change if self._entry.get("kind") == "credit" else change + self._coins("debt_change")
            expected = self._taken_back.get(name, 0) + change
            if carried != expected or carried < 0:
                self._fault("clawback", f"{carried} coins of {name} are said to be taken back, {expected} were")
        self._taken_back[name] = carried

    def _list(self) -> None:
        kind, type_ = self._entry.get("kind"), self._entry.get("type")
        if type_ is None:
            if kind in LISTED_KINDS and self._coins("amount"):
                self._fault("listing", f"a {kind} is not listed")
            return
        if kind in SILENT_KINDS:
            self._fault("listing", f"a {kind} is listed as {type_!r}")
        if type_ == "buy" and (kind != "credit" or not self._entry.get("payment_id")):
            self._fault("payment", "coins were bought without a payment")
        self._counts[str(type_)] = self._counts.get(str(type_), 0) + 1
        self._listed_sum += self._coins("amount") if kind == "credit" else -self._coins("amount")

    def _compare(self, *, follows: bool) -> None:
        """Tell where the entry carries another state than follows from all entries up to it.

        A deviation is told where it begins: the entries after it carry it on. Where it ends is told by nobody's fault.
        """
        for name, expected in (("balance", self.balance), ("held", self.held), ("debt", self.debt)):
            carried = self._coins(name)
            if carried < 0:
                self._fault(name, f"is {carried}, less than nothing")
            self._deviation(name, carried - expected, f"is {carried}, {expected} follows from the entries", follows)
        counts = self._entry.get("counts")
        counts = counts if isinstance(counts, dict) else {}
        differing = {
            name: (counts.get(name, 0), self._counts.get(name, 0))
            for name in {*counts, *self._counts}
            if counts.get(name, 0) != self._counts.get(name, 0)
        }
        gaps = tuple(sorted((name, carried - expected) for name, (carried, expected) in differing.items()))
        said = ", ".join(f"{name} {carried} instead of {expected}" for name, (carried, expected) in differing.items())
        self._deviation("counts", gaps or 0, f"are wrong: {said}", follows)
        self._compare_positions(follows=follows)

    def _compare_positions(self, *, follows: bool) -> None:
        type_ = self._entry.get("type")
        if type_ is None:
            if "position" in self._entry or "type_position" in self._entry:
                self._fault("listing", "an entry that is not listed has a position")
            return
        whole, own = sum(self._counts.values()), self._counts[str(type_)]
        for name, label, expected in (("position", "position", whole), ("type_position", f"{type_} position", own)):
            carried = self._coins(name)
            said = f"{name} is {carried}, {expected} follows from the entries"
            self._deviation(label, carried - expected, said, follows, rule="position")

    def _deviation(self, name: str, size: object, message: str, follows: bool, *, rule: str | None = None) -> None:
        if size == self._deviations.get(name, 0):
            return
        self._deviations[name] = size
        if size and follows:
            self._fault(rule or name, message)

    def _coins(self, name: str) -> int:
        """Read a whole number; what is none counts as 0, ``_check_shape`` tells it."""
        value: Any = self._entry.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else 0

    def _fault(self, rule: str, message: str) -> None:
        seq = self._entry.get("seq")
        entry_id = self._entry.get("_id")
        self._tell(
            Fault(
                rule,
                message,
                user_id=self.user_id,
                seq=seq if isinstance(seq, int) else None,
                entry_id=None if entry_id is None else str(entry_id),
            )
        )
