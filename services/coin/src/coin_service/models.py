"""What the ledger keeps."""

from datetime import datetime
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from common.clock import utc_now

EntryKind = Literal["credit", "debit", "hold", "capture", "void", "note"]
"""What an entry does to the wallet. A ``note`` moves nothing: it remembers which answer a request got."""

EntryType = Literal["bonus", "buy", "earn", "deduct", "generate", "refund", "clawback", "grant"]
"""What the user is told an entry was; holds, voids and notes are not listed and have none."""

ENTRY_KINDS: tuple[EntryKind, ...] = get_args(EntryKind)
ENTRY_TYPES: tuple[EntryType, ...] = get_args(EntryType)


ToldBy = Literal["app", "callback"]
"""Who told that an ad was watched: the app itself, or the ad network."""


class OpenAd(BaseModel):
    """An ad that was credited on one side's word and that the other side has not told of yet."""

    model_config = ConfigDict(frozen=True)

    told_by: ToldBy
    key: str
    """Of the entry that credited it."""
    at: datetime


class Earned(BaseModel):
    """What one source gave this wallet."""

    model_config = ConfigDict(frozen=True)

    day: str
    """UTC day of ``coins``, as ``2025-07-01``."""
    coins: int
    last_at: datetime
    open_ads: tuple[OpenAd, ...] = ()
    """Oldest first."""


class Draft(BaseModel):
    """What one operation wants to add to a wallet; which entry it becomes depends on the one before it."""

    model_config = ConfigDict(frozen=True)

    kind: EntryKind
    type: EntryType | None = None
    key: str
    """Unique in the whole ledger and made from the operation, never by chance: a repeat of it collides."""
    amount: int = Field(ge=0)
    """Coins credited, debited, set aside, captured, or given back by a void."""
    released: int = Field(default=0, ge=0)
    """Of a capture: the part of the hold that was not taken and can be spent again."""
    resolves: str | None = None
    """The hold's key that a capture or void ends; unique, so that a hold ends once."""
    source: str | None = None
    payment_method: str | None = None
    transaction_id: str | None = None
    """The payment as the client named it."""
    payment_id: str | None = None
    """The payment by its one name, ``stripe:pi_…`` in lower case; unique over all wallets."""
    adjusts: str | None = None
    """The ``payment_id`` whose coins this takes back or gives again."""
    taken_back: int | None = None
    """Of a payment: how many of its coins have been taken back so far, since the money went back."""
    refunds: str | None = None
    """The hold's key whose captured coins this gives back."""
    refund_number: int | None = None
    """1, 2, 3… among the refunds of one capture; unique, so that two at once cannot give back the same coins."""
    refunded: int | None = None
    """How many coins of the capture have been given back, these included."""
    debt_change: int = 0
    """Coins to be taken that the wallet did not have; negative once they are taken."""
    reason: str | None = None
    actor: str | None = None
    """The operator who made it; not shown to the user."""
    reference: str | None = None
    fingerprint: str | None = None
    """What the request asked for; the same key with another fingerprint is another request."""
    remaining_today: int | None = None
    earned: dict[str, Earned] = Field(default_factory=dict)
    """By source; a draft names what it changes, an entry carries them all."""

    @property
    def balance_change(self) -> int:
        match self.kind:
            case "credit" | "void":
                return self.amount
            case "debit" | "hold":
                return -self.amount
            case "capture":
                return self.released
            case "note":
                return 0

    @property
    def held_change(self) -> int:
        match self.kind:
            case "hold":
                return self.amount
            case "void":
                return -self.amount
            case "capture":
                return -(self.amount + self.released)
            case "credit" | "debit" | "note":
                return 0


class Entry(Draft):
    """One link of a wallet's chain; the last one is the wallet."""

    id: str
    user_id: str
    seq: int = Field(ge=1)
    """1, 2, 3… in each wallet; unique, so that of two entries computed from the same one a single one gets in."""
    balance: int
    """Coins that can be spent after this entry."""
    held: int
    """Coins in open holds after this entry."""
    debt: int = 0
    """Coins still to be taken after this entry; the next ones to come pay it."""
    counts: dict[EntryType, int] = Field(default_factory=dict)
    """How many entries of each type the wallet has, this one included."""
    position: int | None = None
    """1, 2, 3… among the wallet's listed entries: any page is a range of it."""
    type_position: int | None = None
    """The same among those of its type."""
    created_at: datetime

    @property
    def spendable(self) -> int:
        """Coins of the balance that are not about to pay the debt."""
        return max(0, self.balance - self.debt)

    @property
    def bought(self) -> int:
        """Of a payment's first entry: the coins it pays for, also those whose money was back before."""
        return self.amount + (self.taken_back or 0)

    @property
    def pays_debt(self) -> bool:
        """The wallet owes coins and has some: before anything else they are taken."""
        return min(self.balance, self.debt) > 0

    @property
    def total(self) -> int:
        """Coins that are the user's: the sum of all listed entries up to here."""
        return self.balance + self.held

    @property
    def listed(self) -> int:
        """How many listed entries the wallet has."""
        return sum(self.counts.values())

    @property
    def signed_amount(self) -> int:
        """What the user gained by this entry, negative for what was spent."""
        return self.amount if self.kind == "credit" else -self.amount

    @classmethod
    def following(cls, last: "Entry | None", draft: Draft, *, entry_id: str, user_id: str) -> "Entry":
        """Link ``draft`` to the entry before it; the only place where a balance is computed."""
        counts = dict(last.counts) if last else {}
        if draft.type is not None:
            counts[draft.type] = counts.get(draft.type, 0) + 1
        state = {
            "id": entry_id,
            "user_id": user_id,
            "seq": last.seq + 1 if last else 1,
            "balance": (last.balance if last else 0) + draft.balance_change,
            "held": (last.held if last else 0) + draft.held_change,
            "debt": (last.debt if last else 0) + draft.debt_change,
            "counts": counts,
            "position": sum(counts.values()) if draft.type is not None else None,
            "type_position": counts[draft.type] if draft.type is not None else None,
            "earned": {**(last.earned if last else {}), **draft.earned},
            "created_at": utc_now(),
        }
        return cls.model_validate(vars(draft) | state)
