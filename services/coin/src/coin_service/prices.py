"""What coins cost."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Price:
    """``amount`` in the smallest unit of ``currency`` (three lower-case letters)."""

    amount: int
    currency: str


class Prices:
    """The price list: every number of coins at the same price a coin."""

    def __init__(self, *, currency: str, minor_units_per_coin: int) -> None:
        self._currency = currency
        self._minor_units_per_coin = minor_units_per_coin

    def price(self, coins: int) -> Price:
        return Price(coins * self._minor_units_per_coin, self._currency)
