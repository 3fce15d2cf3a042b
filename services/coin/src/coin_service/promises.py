"""What a payment must have paid for its coins."""

from coin_service.checkouts import CheckoutStore
from coin_service.prices import Price, Prices


class Promises:
    """As promised when it was ordered, whatever coins cost today; by the price list where nothing was."""

    def __init__(self, checkouts: CheckoutStore, prices: Prices) -> None:
        self._checkouts = checkouts
        self._prices = prices

    async def price(self, transaction_id: str, *, user_id: str, coins: int) -> Price | None:
        """Return the price of a payment's coins; ``None`` if others were ordered with it, or by somebody else."""
        checkout = await self._checkouts.find_by_payment(transaction_id)
        if checkout is None:
            return self._prices.price(coins)
        if (checkout.user_id, checkout.coins) != (user_id, coins):
            return None
        return Price(checkout.price, checkout.currency)
