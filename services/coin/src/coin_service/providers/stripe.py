"""Payments at Stripe: what became of one, whichever way it is named."""

import re

from coin_service.errors import PaymentNotFoundError, PaymentProviderUnavailableError
from coin_service.prices import Price
from coin_service.providers import Payment, Purchase, Standing
from coin_service.providers.stripe_api import StripeApi
from coin_service.providers.stripe_objects import CHARGE_ID, INTENT_ID, Charge, PaymentIntent

USER_ID_METADATA = "user_id"
COINS_METADATA = "coins"

_PAYMENT_ID = re.compile(r"(pi|ch|py|txn)_[A-Za-z0-9]{8,250}")


class StripeProvider:
    """Follows ``txn_`` to its charge and a charge to its PaymentIntent, which is what a payment is called here."""

    def __init__(self, api: StripeApi) -> None:
        self._api = api

    def known_as(self, purchase: Purchase) -> str:
        return payment_name(purchase.transaction_id)

    async def get_payment(self, purchase: Purchase) -> Payment:
        if not _PAYMENT_ID.fullmatch(purchase.transaction_id):
            raise PaymentNotFoundError
        async with self._api.bounded():
            return await self._follow(purchase)

    async def main_name(self, name: str) -> str:
        """Return what the payment of a charge, or of an intent, is called here.

        Raises:
            PaymentNotFoundError: Stripe does not know it.
            PaymentProviderUnavailableError: Nothing is known.
        """
        if INTENT_ID.fullmatch(name):
            return name
        if not CHARGE_ID.fullmatch(name):
            raise PaymentNotFoundError
        async with self._api.bounded():
            return _intent_of(await self._api.charge(name)) or name

    async def standing(self, name: str) -> Standing:
        """Ask how a payment stands, by the name that ``main_name`` gives.

        Raises:
            PaymentNotFoundError: Stripe does not know it.
            PaymentProviderUnavailableError: Nothing is known.
        """
        async with self._api.bounded():
            paid = await (self._api.payment_intent(name) if name.startswith("pi_") else self._api.charge(name))
            charge = paid.latest_charge if isinstance(paid, PaymentIntent) else paid
            completed = charge is not None and charge.arrived and paid.status == "succeeded"
            captured = charge.amount_captured if charge is not None else 0
            returned = charge.amount_refunded if charge is not None else 0
            undecided = False
            if charge is not None and completed:
                disputes = await self._api.disputes(charge)
                returned = captured if charge.refunded or disputes.took else returned
                undecided = disputes.undecided
        return Standing(
            transaction_id=paid.id,
            completed=completed,
            paid=captured,
            returned=returned,
            currency=paid.currency,
            user_id=paid.metadata.get(USER_ID_METADATA),
            coins=paid.metadata.get(COINS_METADATA),
            undecided=undecided,
        )

    async def _follow(self, purchase: Purchase) -> Payment:
        name = purchase.transaction_id
        if name.startswith("txn_"):
            transaction = await self._api.balance_transaction(name)
            # Refunds, payouts and fees are balance transactions too.
            if transaction.type not in ("charge", "payment") or not CHARGE_ID.fullmatch(transaction.source or ""):
                raise PaymentNotFoundError
            name = str(transaction.source)
        if not name.startswith("pi_"):
            charge = await self._api.charge(name)
            intent_name = _intent_of(charge)
            if intent_name is None:
                return self._payment(purchase, charge, charge.amount_captured, completed=charge.kept)
            name = intent_name
        intent = await self._api.payment_intent(name)
        kept = intent.latest_charge is not None and intent.latest_charge.kept
        return self._payment(purchase, intent, intent.amount_received, completed=intent.status == "succeeded" and kept)

    def _payment(self, purchase: Purchase, paid: PaymentIntent | Charge, amount: int, *, completed: bool) -> Payment:
        return Payment(
            id=payment_name(paid.id),
            completed=completed,
            foreign=paid.metadata.get(USER_ID_METADATA, purchase.user_id) != purchase.user_id,
            matches=paid.metadata.get(COINS_METADATA) in (None, str(purchase.coins)),
            transaction_id=paid.id,
            paid=Price(amount, paid.currency),
        )


def payment_name(identifier: str) -> str:
    """Return the ``payment_id`` of a payment that Stripe calls so."""
    return f"stripe:{identifier.lower()}"


def _intent_of(charge: Charge) -> str | None:
    name = charge.payment_intent
    if name is not None and not INTENT_ID.fullmatch(name):
        raise PaymentProviderUnavailableError
    return name
