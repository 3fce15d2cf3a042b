"""Numbers of coins that are offered together."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from common.schemas import MAX_COINS


class Pack(BaseModel):
    """Its price is the price list's; in the environment with the wire's spelling, ``googlePlayProductId``."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="forbid")

    id: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,100}$")
    coins: int = Field(ge=1, le=MAX_COINS)
    google_play_product_id: str | None = Field(default=None, min_length=1, max_length=150)
    """The same coins at Google Play; ``None`` if they are not sold there."""


def check_packs(packs: tuple[Pack, ...], products: Mapping[str, int]) -> None:
    """Refuse packs that promise what a purchase would not give.

    Raises:
        ValueError: Two have the same id, or a product of Google Play is unknown or worth another number of coins.
    """
    if len({pack.id for pack in packs}) != len(packs):
        raise ValueError("COIN_PACKS: two packs have the same id")
    for pack in packs:
        product = pack.google_play_product_id
        if product is not None and products.get(product) != pack.coins:
            raise ValueError(f"COIN_PACKS: {product} is not worth {pack.coins} coins in GOOGLE_PLAY_PRODUCTS")


def packs_of(products: Mapping[str, int]) -> tuple[Pack, ...]:
    """Offer what Google Play sells, where nothing else is said."""
    return tuple(Pack(id=name, coins=coins, google_play_product_id=name) for name, coins in products.items())
