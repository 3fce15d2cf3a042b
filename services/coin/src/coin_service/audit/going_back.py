"""Coins that go back: of a payment whose money went back, and of a capture whose pictures were lost."""

from coin_service.audit.documents import TellRule, coins
from common.mongo import Document


class Clawbacks:
    """Of each payment whose money went back: what was taken, or became debt, adds up to what its entries say."""

    def __init__(self, tell: TellRule) -> None:
        self._tell = tell
        self._taken_back: dict[str, int] = {}

    def add(self, entry: Document) -> None:
        payment_id = entry.get("adjusts") or entry.get("payment_id")
        if payment_id is None or "taken_back" not in entry:
            return
        name, carried, change = str(payment_id), coins(entry, "taken_back"), coins(entry, "amount")
        if "adjusts" in entry:
            change = -change if entry.get("kind") == "credit" else change + coins(entry, "debt_change")
            expected = self._taken_back.get(name, 0) + change
            if carried != expected or carried < 0:
                self._tell("clawback", f"{carried} coins of {name} are said to be taken back, {expected} were")
        self._taken_back[name] = carried


class Refunds:
    """Of each capture that was given back: its refunds are numbered without a gap and carry their sum."""

    def __init__(self, tell: TellRule) -> None:
        self._tell = tell
        self._refunded: dict[str, tuple[int, int]] = {}

    def add(self, entry: Document) -> None:
        if "refunds" not in entry:
            if entry.get("type") == "refund" and entry.get("adjusts") is None:
                self._tell("refund", "gives back neither a capture nor a payment")
            return
        if (entry.get("kind"), entry.get("type")) != ("credit", "refund"):
            self._tell("refund", f"a {entry.get('kind')} of type {entry.get('type')!r} gives back a capture")
        name, (number, refunded) = str(entry["refunds"]), self._refunded.get(str(entry["refunds"]), (0, 0))
        expected = (number + 1, refunded + coins(entry, "amount"))
        carried = (coins(entry, "refund_number"), coins(entry, "refunded"))
        if carried != expected:
            self._tell(
                "refund",
                f"is number {carried[0]} with {carried[1]} coins in all of {name!r}, "
                f"{expected[0]} with {expected[1]} follows from the entries",
            )
        self._refunded[name] = expected
