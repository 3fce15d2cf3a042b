"""Orders of coins to be paid at Stripe."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import SecretStr

from coin_service.checkouts import Checkout, CheckoutStore
from coin_service.errors import (
    AmountNotPayableError,
    PaymentNotFoundError,
    PaymentProviderUnavailableError,
    UnknownPackError,
)
from coin_service.ledger import Ledger, Request
from coin_service.packs import Pack
from coin_service.prices import Price, Prices
from coin_service.providers.stripe import COINS_METADATA, USER_ID_METADATA
from coin_service.providers.stripe_api import StripeApi
from coin_service.providers.stripe_objects import NewPaymentIntent
from common.errors import IdempotencyKeyReusedError, ServiceUnavailableError, ValidationFailedError
from common.logging import get_logger

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class OpenCheckout:
    """What an app needs to have its user pay."""

    transaction_id: str
    client_secret: SecretStr
    coins: int
    price: Price
    replayed: bool


class CheckoutService:
    """The order is written down before Stripe hears of it, and its id makes the key under which Stripe does.

    So however often it breaks off and is repeated, one order is one PaymentIntent.
    """

    def __init__(
        self,
        ledger: Ledger,
        checkouts: CheckoutStore,
        api: StripeApi,
        prices: Prices,
        packs: Sequence[Pack],
        *,
        sweep_after_seconds: float,
    ) -> None:
        self.packs = tuple(packs)
        self.prices = prices
        self._ledger = ledger
        self._checkouts = checkouts
        self._api = api
        self._sweep_after_seconds = sweep_after_seconds

    def coins(self, *, pack_id: str | None, amount: int | None) -> int:
        """Return how many coins are asked for, as a pack or as a number.

        Raises:
            ValidationFailedError: Both are given, or neither.
            UnknownPackError: There is no such pack.
        """
        if (pack_id is None) == (amount is None):
            raise ValidationFailedError.of("amount" if pack_id is None else "packId", "give either packId or amount")
        if amount is not None:
            return amount
        for pack in self.packs:
            if pack.id == pack_id:
                return pack.coins
        raise UnknownPackError

    async def open(self, user_id: str, coins: int, *, request: Request) -> OpenCheckout:
        """Make a PaymentIntent for coins, or find the one that this request made.

        Raises:
            AmountNotPayableError: Stripe does not charge so little, or so much.
            PaymentProviderUnavailableError: Stripe gave no usable answer; a repeat under the same key goes on.
            IdempotencyKeyReusedError: The key belongs to another request.
        """
        await self._ledger.last(user_id)  # before anybody is to pay: is there such a user?
        if await self._ledger.store.find_by_key(request.key) is not None:
            raise IdempotencyKeyReusedError
        checkout = await self._order(user_id, coins, request)
        try:
            async with self._api.bounded():
                intent = await self._intent(checkout)
        except AmountNotPayableError:
            await self._checkouts.remove(checkout)
            raise
        except PaymentNotFoundError as error:
            # No payment of the user's is missing: our key or address does not fit, or Stripe lost what it made.
            raise PaymentProviderUnavailableError from error
        replayed = checkout.transaction_id is not None
        if not replayed:
            await self._checkouts.set_payment(checkout, intent.id, sweep_after_seconds=self._sweep_after_seconds)
            logger.info("checkout opened", user_id=user_id, coins=coins, transaction_id=intent.id)
        price = Price(checkout.price, checkout.currency)
        return OpenCheckout(intent.id, intent.client_secret, checkout.coins, price, replayed=replayed)

    async def _intent(self, checkout: Checkout) -> NewPaymentIntent:
        if checkout.transaction_id is not None:
            return await self._api.new_payment_intent(checkout.transaction_id)
        metadata = {USER_ID_METADATA: checkout.user_id, COINS_METADATA: str(checkout.coins), "checkout_id": checkout.id}
        price = Price(checkout.price, checkout.currency)
        return await self._api.create_payment_intent(price, metadata, key=f"checkout:{checkout.id}")

    async def _order(self, user_id: str, coins: int, request: Request) -> Checkout:
        checkout = await self._checkouts.find_by_key(request.key)
        if checkout is None:
            price = self.prices.price(coins)
            await self._checkouts.add(
                key=request.key,
                fingerprint=request.fingerprint,
                user_id=user_id,
                coins=coins,
                price=price.amount,
                currency=price.currency,
            )
            checkout = await self._checkouts.find_by_key(request.key)
        if checkout is None:
            raise ServiceUnavailableError  # another process has just withdrawn it: Stripe refused the amount
        if checkout.fingerprint != request.fingerprint:
            raise IdempotencyKeyReusedError
        return checkout
