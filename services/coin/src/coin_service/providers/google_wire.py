"""Android Publisher v3's JSON, as far as one-time products go, read as strictly as a stranger's input."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

PURCHASED = 0
CANCELED = 1
CONSUMED = 1
TEST_PURCHASE = 0


class ProductPurchase(BaseModel):
    """``ProductPurchase`` of Android Publisher v3."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    purchase_state: int = Field(alias="purchaseState")
    consumption_state: int = Field(alias="consumptionState", default=0)
    purchase_type: int | None = Field(alias="purchaseType", default=None)
    """Only there for 0 test, 1 promo code, 2 rewarded."""
    quantity: Annotated[int, Field(ge=1, le=10_000)] = 1
    refundable_quantity: int | None = Field(alias="refundableQuantity", default=None)
    product_id: str | None = Field(alias="productId", default=None)
    account_id: str | None = Field(alias="obfuscatedExternalAccountId", default=None)


class Voided(BaseModel):
    """``VoidedPurchase``."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    token: str = Field(alias="purchaseToken")
    quantity: Annotated[int, Field(ge=1, le=10_000)] | None = Field(alias="voidedQuantity", default=None)


class Pagination(BaseModel):
    """``TokenPagination``."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    next_token: str | None = Field(alias="nextPageToken", default=None)


class VoidedPage(BaseModel):
    """An answer of ``voidedpurchases.list``; without a single purchase it has none of its fields."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    purchases: list[Voided] = Field(alias="voidedPurchases", default=[])
    pagination: Pagination = Field(alias="tokenPagination", default=Pagination())
