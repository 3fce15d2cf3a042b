"""What a wallet's statement lists: which entries, how many of each type, where each stands."""

from coin_service.audit.documents import Deviations, TellRule, coins
from common.mongo import Document

LISTED_KINDS = ("credit", "debit", "capture")
SILENT_KINDS = ("hold", "void", "note")


class Listing:
    """Counts the listed entries again, and adds them up.

    Attributes:
        total: Sum of all listed entries so far.
    """

    def __init__(self, tell: TellRule) -> None:
        self.total = 0
        self._tell = tell
        self._deviations = Deviations(tell)
        self._counts: dict[str, int] = {}

    def add(self, entry: Document) -> None:
        """List the entry, or tell why it should not be, or should."""
        kind, type_ = entry.get("kind"), entry.get("type")
        if type_ is None:
            if kind in LISTED_KINDS and coins(entry, "amount"):
                self._tell("listing", f"a {kind} is not listed")
            return
        if kind in SILENT_KINDS:
            self._tell("listing", f"a {kind} is listed as {type_!r}")
        if type_ == "buy" and (kind != "credit" or not entry.get("payment_id")):
            self._tell("payment", "coins were bought without a payment")
        self._counts[str(type_)] = self._counts.get(str(type_), 0) + 1
        self.total += coins(entry, "amount") if kind == "credit" else -coins(entry, "amount")

    def compare(self, entry: Document, *, follows: bool) -> None:
        """Tell where the entry carries other counts and positions than follow from all entries up to it."""
        counts = entry.get("counts")
        counts = counts if isinstance(counts, dict) else {}
        differing = {
            name: (counts.get(name, 0), self._counts.get(name, 0))
            for name in {*counts, *self._counts}
            if counts.get(name, 0) != self._counts.get(name, 0)
        }
        gaps = tuple(sorted((name, carried - expected) for name, (carried, expected) in differing.items()))
        said = ", ".join(f"{name} {carried} instead of {expected}" for name, (carried, expected) in differing.items())
        self._deviations.compare("counts", gaps or 0, "are wrong: {}", said, follows=follows)
        self._compare_positions(entry, follows=follows)

    def _compare_positions(self, entry: Document, *, follows: bool) -> None:
        type_ = entry.get("type")
        if type_ is None:
            if "position" in entry or "type_position" in entry:
                self._tell("listing", "an entry that is not listed has a position")
            return
        whole, own = sum(self._counts.values()), self._counts[str(type_)]
        for name, label, expected in (("position", "position", whole), ("type_position", f"{type_} position", own)):
            carried = coins(entry, name)
            gap, said = carried - expected, "{} is {}, {} follows from the entries"
            self._deviations.compare(label, gap, said, name, carried, expected, follows=follows, rule="position")
