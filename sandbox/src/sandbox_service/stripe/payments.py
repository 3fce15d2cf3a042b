"""The payments Stripe knows of: each has one key and several names, ``pi_X``, ``ch_X``, ``py_X``, ``txn_X``."""

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from sandbox_service.bounded import BoundedDict
from sandbox_service.clock import VendorClock
from sandbox_service.stripe.ids import new_key
from sandbox_service.stripe.markers import Markers, read_markers

MAX_PAYMENTS = 20_000
MAX_IDEMPOTENCY_KEYS = 5_000

Prefix = Literal["pi", "ch", "py", "txn"]
Status = Literal[
    "requires_payment_method",
    "requires_confirmation",
    "requires_action",
    "processing",
    "requires_capture",
    "canceled",
    "succeeded",
]

_ID = re.compile(r"(pi|ch|py|txn)_([A-Za-z0-9]{8,250})")


DisputeStatus = Literal[
    "warning_needs_response",
    "warning_under_review",
    "warning_closed",
    "needs_response",
    "under_review",
    "won",
    "lost",
    "prevented",
]
RefundStatus = Literal["succeeded", "failed"]


@dataclass
class Refund:
    """Money given back; ``failed`` if it came back to us."""

    id: str
    amount: int
    created: int
    status: RefundStatus = "succeeded"


@dataclass
class Dispute:
    """The card holder's bank took the money away, or asks."""

    id: str
    created: int
    status: DisputeStatus = "needs_response"


@dataclass
class Payment:
    """A PaymentIntent with its charge and its balance transaction; amounts in minor units."""

    key: str
    amount: int
    currency: str
    status: Status
    created: int
    metadata: dict[str, str] = field(default_factory=dict)
    amount_received: int = 0
    refunds: list[Refund] = field(default_factory=list)
    """Oldest first."""
    dispute: Dispute | None = None
    """It stays once it is won, as at Stripe."""
    declined: bool = False
    livemode: bool = False
    customer: str | None = None
    description: str | None = None
    payment_method: str | None = None
    capture_method: str = "automatic_async"
    charged: bool = False
    """A test spoke of its charge, so there is one, and a balance transaction of it, whatever the status."""
    fail_status: int | None = None
    """Looking it up is answered with this HTTP status."""

    @property
    def has_charge(self) -> bool:
        return self.status in {"succeeded", "processing", "requires_capture"} or self.declined or self.charged

    @property
    def has_balance_transaction(self) -> bool:
        return self.status == "succeeded" or self.charged

    @property
    def amount_refunded(self) -> int:
        return sum(refund.amount for refund in self.refunds if refund.status == "succeeded")

    @property
    def disputed(self) -> bool:
        return self.dispute is not None

    @property
    def refunded(self) -> bool:
        return self.amount_received > 0 and self.amount_refunded >= self.amount_received

    def set_refunded(self, amount: int, now: int) -> None:
        """Have ``amount`` given back in all: by one refund more, or by refunds that failed, the newest first."""
        for refund in reversed(self.refunds):
            if self.amount_refunded > amount:
                refund.status = "failed"
        if self.amount_refunded < amount:
            self.refunds.append(Refund(f"re_{new_key()}", amount - self.amount_refunded, now))

    def set_dispute(self, status: DisputeStatus, now: int) -> None:
        """Open a dispute, or change what it has come to."""
        self.dispute = self.dispute or Dispute(f"dp_{new_key()}", now)
        self.dispute.status = status

    def settle(self, status: Status) -> None:
        """Change the status; money has arrived exactly when it is ``succeeded``."""
        self.status = status
        self.amount_received = self.amount if status == "succeeded" else 0
        if status == "succeeded":
            self.declined = False


@dataclass(frozen=True)
class FirstAnswer:
    """What the first request under an idempotency key asked and was told."""

    request: Any
    status: int
    body: dict[str, Any]


def split_id(identifier: str) -> tuple[str, str] | None:
    """``pi_abcdefgh`` → ``("pi", "abcdefgh")``; ``None`` if it is not an id of a payment."""
    match = _ID.fullmatch(identifier)
    return (match[1], match[2]) if match else None


class PaymentBook:
    """Payments made here, told to it by a test, or invented on first sight."""

    def __init__(self, clock: VendorClock, price_100_coins: int, currency: str) -> None:
        self._clock = clock
        self._price_100_coins = price_100_coins
        self._currency = currency
        self._payments: BoundedDict[str, Payment] = BoundedDict(MAX_PAYMENTS)
        self.first_answers: BoundedDict[str, FirstAnswer] = BoundedDict(MAX_IDEMPOTENCY_KEYS)

    def find(self, key: str) -> Payment | None:
        """The payment of a well-formed id; an unseen one is invented, unless its marker says that it is missing."""
        known = self._payments.get(key)
        if known is not None:
            return known
        markers = read_markers(key)
        if markers.missing:
            return None
        payment = self._invent(key, markers)
        self._payments.set(key, payment)
        return payment

    def get_or_make(self, key: str) -> Payment:
        """For a test that sets a payment up: it exists, whatever its marker says."""
        payment = self._payments.get(key)
        if payment is None:
            payment = self._invent(key, read_markers(key))
            self._payments.set(key, payment)
        return payment

    def create(self, amount: int, currency: str) -> Payment:
        """A new intent that nobody has paid yet."""
        key = new_key()
        payment = Payment(key, amount, currency, "requires_payment_method", self._clock.timestamp())
        self._payments.set(key, payment)
        return payment

    def all(self) -> list[Payment]:
        """Every payment that was made, told or asked for."""
        return self._payments.values()

    def clear(self) -> None:
        self._payments.clear()
        self.first_answers.clear()

    def _invent(self, key: str, markers: Markers) -> Payment:
        price = -(-self._price_100_coins * markers.coins // 100)
        payment = Payment(key, price, markers.currency or self._currency, "succeeded", self._clock.timestamp())
        payment.settle(markers.status or "succeeded")
        payment.declined = markers.declined
        payment.payment_method = None if payment.status == "requires_payment_method" else f"pm_{key}"
        payment.livemode = markers.livemode
        payment.fail_status = markers.fail_status
        if markers.disputed:
            payment.set_dispute("needs_response", payment.created)
        if markers.underpaid:
            payment.amount_received //= 2
        if markers.refunded:
            payment.set_refunded(payment.amount_received, payment.created)
        elif markers.partly_refunded:
            payment.set_refunded(payment.amount_received // 2, payment.created)
        return payment
