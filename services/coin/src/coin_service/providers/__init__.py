"""Vendors through which coins are paid for, behind one small protocol."""

from dataclasses import dataclass
from typing import Literal, Protocol

from coin_service.prices import Price

PaymentMethod = Literal["stripe", "google_play"]


@dataclass(frozen=True, slots=True)
class Purchase:
    """What a client claims."""

    user_id: str
    coins: int
    transaction_id: str
    product_id: str | None


@dataclass(frozen=True, slots=True)
class PlayItem:
    """A one-time product that Google sells again only after it was consumed."""

    product_id: str
    token: str
    quantity: int | None = None
    """How many of it were bought at once; ``None`` where that was not noted."""


@dataclass(frozen=True, slots=True)
class Payment:
    """What the vendor says of it."""

    id: str
    """Its one name whichever way it was named, lower case: two spellings never credit twice."""
    completed: bool
    """The money has arrived and none of it went back."""
    foreign: bool
    """It was made for another user."""
    matches: bool
    """It is for the number of coins claimed, as far as the vendor says."""
    transaction_id: str
    """As the vendor names it."""
    paid: Price | None = None
    """What arrived, where the price is ours; at Google Play it is the product's."""
    item: PlayItem | None = None
    """What is to be consumed once the coins are credited."""


class PaymentProvider(Protocol):
    """Looks payments up; never changes one."""

    def known_as(self, purchase: Purchase) -> str:
        """Return the ``Payment.id`` that this claim has if the client used the payment's own name."""

    async def get_payment(self, purchase: Purchase) -> Payment:
        """Ask the vendor.

        Raises:
            PaymentNotFoundError: The vendor knows no such payment, or it cannot be one.
            PaymentProviderUnavailableError: Nothing is known.
        """


@dataclass(frozen=True, slots=True)
class Standing:
    """What has become of a payment up to now, as the vendor says."""

    transaction_id: str
    """As the vendor names it."""
    completed: bool
    """The money has arrived, whatever became of it since."""
    paid: int
    """In the smallest unit of ``currency``, or items."""
    returned: int
    """What of ``paid`` went back, or may: refunded, disputed, voided."""
    currency: str | None = None
    user_id: str | None = None
    """Whose it is and how many coins it buys, as written into it when it was made; not checked."""
    coins: str | None = None

    returned_for_good: bool = False
    """What went back never comes again: less of it is older news."""
    undecided: bool = False
    """A dispute of it is open: what went back may come again, or the other way round."""

    def coins_back(self, coins: int) -> int:
        """Return how many of ``coins`` go back with the money: in proportion, all of them with all of it."""
        if self.returned >= self.paid:
            return coins
        return coins * self.returned // self.paid
