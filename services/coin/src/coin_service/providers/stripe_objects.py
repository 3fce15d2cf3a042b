"""What Stripe answers, as far as it is used here, read as strictly as a stranger's input."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr

INTENT_ID = re.compile(r"pi_[A-Za-z0-9]{8,250}")
CHARGE_ID = re.compile(r"(ch|py)_[A-Za-z0-9]{8,250}")

DISMISSED_DISPUTES = ("won", "warning_needs_response", "warning_under_review", "warning_closed", "prevented")
"""States of a dispute in which the money is here: it came back, or was only asked after."""

DECIDED_DISPUTES = ("won", "lost", "warning_closed", "prevented")
"""States of a dispute that are its last."""

Minor = Annotated[int, Field(ge=0, le=10**12)]
"""An amount in the currency's smallest unit."""


class Answer(BaseModel):
    """Any object of Stripe's."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    id: str


class Charge(Answer):
    object: Literal["charge"]
    status: str
    paid: bool
    captured: bool
    refunded: bool
    disputed: bool
    amount_captured: Minor
    amount_refunded: Minor
    currency: str
    livemode: bool
    metadata: dict[str, str] = {}
    payment_intent: str | None = None

    @property
    def arrived(self) -> bool:
        """The money came, whatever became of it since."""
        return self.status == "succeeded" and self.paid and self.captured

    @property
    def kept(self) -> bool:
        """The money is here, all of it."""
        return self.arrived and not self.refunded and not self.disputed and self.amount_refunded == 0


class PaymentIntent(Answer):
    object: Literal["payment_intent"]
    status: str
    amount_received: Minor
    currency: str
    livemode: bool
    metadata: dict[str, str] = {}
    latest_charge: Charge | None


class NewPaymentIntent(Answer):
    """One that is yet to be paid; its secret lets an app pay it and is neither kept nor logged."""

    object: Literal["payment_intent"]
    amount: Minor
    currency: str
    livemode: bool
    client_secret: SecretStr


class BalanceTransaction(Answer):
    object: Literal["balance_transaction"]
    type: str
    source: str | None


class Refund(Answer):
    charge: str | None = None
    payment_intent: str | None = None


class Dispute(Refund):
    status: str


@dataclass(frozen=True, slots=True)
class Disputes:
    """All disputes of one charge."""

    took: bool
    """One of them took the money away, or may."""
    undecided: bool
    """One of them is open."""

    @classmethod
    def of(cls, states: Sequence[str]) -> Self:
        """Read their states; of a disputed charge there are some, however late Stripe lists them."""
        return cls(
            took=not states or any(state not in DISMISSED_DISPUTES for state in states),
            undecided=not states or any(state not in DECIDED_DISPUTES for state in states),
        )


class Page(BaseModel):
    """A part of a list."""

    model_config = ConfigDict(strict=True, extra="ignore")

    data: list[dict[str, Any]]
    has_more: bool = False
