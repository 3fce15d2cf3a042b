"""Public wire shapes."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints

from coin_service.models import Entry, EntryType
from common.idempotency import IdempotencyKey
from common.pagination import Pagination
from common.schemas import Coins, ReadModel, RequestModel, Text, Timestamp

MAX_REASON_CHARACTERS = 200
MAX_TRANSACTION_ID_CHARACTERS = 1000
"""Stripe's ids have at most 255 characters; Google's tokens are "opaque", and some have been longer than 255."""


class TransactionRead(ReadModel):
    """One line of the statement."""

    id: str
    type: EntryType
    amount: int
    """Coins gained; negative for what was spent."""
    balance_after: int
    """Sum of all lines up to this one; coins that are only held at that time are still in it."""
    source: str | None
    payment_method: str | None
    transaction_id: str | None
    reason: str | None
    reference: str | None
    created_at: Timestamp

    @classmethod
    def from_entry(cls, entry: Entry) -> Self:
        """Show a listed entry."""
        if entry.type is None:
            raise ValueError("this entry is not listed")
        return cls(
            id=entry.id,
            type=entry.type,
            amount=entry.signed_amount,
            balance_after=entry.total,
            source=entry.source,
            payment_method=entry.payment_method,
            transaction_id=entry.transaction_id,
            reason=entry.reason,
            reference=entry.reference,
            created_at=entry.created_at,
        )


class BalanceRead(ReadModel):
    """``balance`` can be spent now, ``held`` is set aside for pictures being drawn."""

    balance: int
    held: int
    updated_at: Timestamp


class TransactionsRead(ReadModel):
    """A page of the statement, newest first."""

    transactions: list[TransactionRead]
    pagination: Pagination


class MovedRead(ReadModel):
    """A line of the statement and what can be spent after it."""

    transaction: TransactionRead
    balance: int


class EarnRead(MovedRead):
    """``remaining_today``: coins that this source still gives before the next UTC midnight."""

    remaining_today: int


class DeductRequest(RequestModel):
    """Spend coins."""

    amount: Coins
    reason: Annotated[Text, StringConstraints(max_length=MAX_REASON_CHARACTERS)] | None = None
    idempotency_key: IdempotencyKey | None = None


class EarnRequest(RequestModel):
    """Claim a reward."""

    amount: Coins
    source: Annotated[Text, StringConstraints(min_length=1, max_length=100)] = Field(examples=["ad_watch"])
    idempotency_key: IdempotencyKey | None = None


class BuyRequest(RequestModel):
    """Claim the coins of a payment."""

    amount: Coins = Field(examples=[100])
    payment_method: Literal["stripe", "google_play"]
    transaction_id: Annotated[
        str, StringConstraints(pattern=r"^[\x21-\x7e]+$", min_length=1, max_length=MAX_TRANSACTION_ID_CHARACTERS)
    ] = Field(examples=["txn_1234567890"])
    """At Stripe `pi_…`, `ch_…` or `txn_…`; at Google Play the purchase token."""
    product_id: Annotated[Text, StringConstraints(min_length=1, max_length=150)] | None = None
    """The product in Google Play; required there, ignored elsewhere."""
    idempotency_key: IdempotencyKey | None = None
