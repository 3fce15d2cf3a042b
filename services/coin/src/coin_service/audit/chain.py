"""One wallet's entries, added up from the first to the last.

On purpose this shares nothing with ``coin_service.models``: a mistake there would otherwise prove itself right.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from coin_service.audit.documents import LATER_NUMBERS, WHOLE_NUMBERS, Deviations, coins
from coin_service.audit.going_back import Clawbacks, Refunds
from coin_service.audit.listing import Listing
from coin_service.audit.report import Fault, OpenHold
from coin_service.audit.rewards import Rewards
from common.mongo import Document

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
        self._entry: Document = {}
        self._deviations = Deviations(self._fault)
        self._listing = Listing(self._fault)
        self._clawbacks = Clawbacks(self._fault)
        self._refunds = Refunds(self._fault)
        self._rewards = Rewards(self._fault)

    def add(self, entry: Document) -> None:
        """Check the next entry."""
        self._entry = entry
        follows = self._check_seq()
        self._check_shape()
        self._apply(entry.get("kind"), coins(entry, "amount"), coins(entry, "released"))
        self.debt += coins(entry, "debt_change")
        self._clawbacks.add(entry)
        self._refunds.add(entry)
        self._listing.add(entry)
        self._compare(follows=follows)
        self._listing.compare(entry, follows=follows)
        self._rewards.add(entry, follows=follows)

    def end(self) -> None:
        """Check what can only be said of the whole wallet."""
        held_now = coins(self._entry, "held")
        total = coins(self._entry, "balance") + held_now
        if total != self._listing.total:
            self._fault(
                "sum", f"balance and held are {total} together, the listed entries add up to {self._listing.total}"
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
        seq, expected = coins(self._entry, "seq"), self._seq + 1
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

    def _end_hold(self, amount: int) -> None:
        resolves = self._entry.get("resolves")
        hold = self.open_holds.pop(str(resolves), None)
        is_tombstone = self._entry.get("kind") == "void" and resolves == self._entry.get("key") and amount == 0
        if hold is None and not is_tombstone:
            self._fault("hold", f"ends {resolves!r}, which is not open")
        if hold is not None and hold.coins != amount:
            self._fault("hold", f"ends {resolves!r} with {amount} coins, {hold.coins} were set aside")

    def _compare(self, *, follows: bool) -> None:
        """Tell where the entry carries other sums than follow from all entries up to it."""
        for name, expected in (("balance", self.balance), ("held", self.held), ("debt", self.debt)):
            carried = coins(self._entry, name)
            if carried < 0:
                self._fault(name, f"is {carried}, less than nothing")
            said = "is {}, {} follows from the entries"
            self._deviations.compare(name, carried - expected, said, carried, expected, follows=follows)

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
