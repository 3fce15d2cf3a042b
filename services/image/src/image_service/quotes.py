"""What an order would cost, and whether it can be paid; nothing is set aside for it."""

import asyncio
from dataclasses import dataclass

from common.clients.auth import AccountNotFoundError
from common.clients.coin import CoinClient
from common.errors import InvalidTokenError
from image_service.covers import Covers
from image_service.orders import Order
from image_service.providers import Provider


@dataclass(frozen=True, slots=True)
class Quote:
    """In coins; ``coins`` is 0 for what a subscription covers."""

    coins: int
    covered_by_subscription: bool
    balance: int
    affordable: bool


class Quotes:
    """Says beforehand what ``ImageService.generate`` would take."""

    def __init__(self, provider: Provider, coins: CoinClient, covers: Covers, *, coins_per_image: int) -> None:
        self._provider = provider
        self._coins = coins
        self._covers = covers
        self.coins_per_image = coins_per_image

    @property
    def daily_images(self) -> int:
        """Pictures a day (UTC) that a subscription covers."""
        return self._covers.daily_images

    async def quote(self, user_id: str, order: Order) -> Quote:
        """Price an order as of now.

        Raises:
            ValidationFailedError: The engine cannot draw this.
            InvalidTokenError: The account is gone.
            ServiceError: The coin service does not answer.
        """
        self._provider.check(order)
        balance, is_covered = await asyncio.gather(
            self._balance(user_id), self._covers.would_take(user_id, order.samples)
        )
        coins = 0 if is_covered else self.coins_per_image * order.samples
        return Quote(coins, is_covered, balance, affordable=coins <= balance)

    async def _balance(self, user_id: str) -> int:
        try:
            return (await self._coins.wallet(user_id)).balance
        except AccountNotFoundError as error:
            raise InvalidTokenError from error
