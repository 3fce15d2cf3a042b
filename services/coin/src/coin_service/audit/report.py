"""What an audit finds."""

from dataclasses import dataclass, field
from datetime import datetime

from common.clock import format_timestamp

LISTED_HOLDS = 100
"""So many open holds are named, the oldest; the others are counted."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is not as it must be."""

    rule: str
    """Which rule is broken, in one word: ``balance``, ``sequence``, ``hold``…"""
    message: str
    user_id: str | None = None
    seq: int | None = None
    entry_id: str | None = None

    def __str__(self) -> str:
        places = {"wallet": self.user_id, "entry": self.seq, "id": self.entry_id}
        where = " ".join(f"{name} {value}" for name, value in places.items() if value is not None)
        return f"{where or 'ledger'}: {self.rule}: {self.message}"


@dataclass(frozen=True, slots=True)
class OpenHold:
    """Coins set aside that nobody has taken or given back yet."""

    user_id: str
    key: str
    """As in the ledger, ``<user>:hold:<key>``."""
    coins: int
    created_at: datetime
    seq: int

    @property
    def name(self) -> str:
        """The key as the holding service gave it."""
        return self.key.removeprefix(f"{self.user_id}:hold:")

    def age_seconds(self, now: datetime) -> float:
        return max(0.0, (now - self.created_at).total_seconds())

    def __str__(self) -> str:
        since = format_timestamp(self.created_at)
        return f"wallet {self.user_id} entry {self.seq}: {self.coins} coins since {since} under {self.name}"


@dataclass(slots=True)
class Report:
    """The sums of one audit; it grows neither with the wallets nor with the faults."""

    wallets: int = 0
    entries: int = 0
    faults: int = 0
    coins: int = 0
    """Of all users, what is held included."""
    debt: int = 0
    open_holds: int = 0
    held_coins: int = 0
    oldest_holds: list[OpenHold] = field(default_factory=list)
    """The oldest first, at most ``LISTED_HOLDS``."""

    def add_hold(self, hold: OpenHold) -> None:
        self.open_holds += 1
        self.held_coins += hold.coins
        self.oldest_holds.append(hold)
        if len(self.oldest_holds) > 2 * LISTED_HOLDS:
            self.order_holds()

    def order_holds(self) -> None:
        self.oldest_holds.sort(key=lambda hold: hold.created_at)
        del self.oldest_holds[LISTED_HOLDS:]
