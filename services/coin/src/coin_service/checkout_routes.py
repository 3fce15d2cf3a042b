"""What can be bought, and how it is paid."""

from typing import Annotated

from fastapi import Depends, Response
from fastapi import Request as HttpRequest
from pydantic import Field, StringConstraints

from coin_service.checkout_service import CheckoutService
from coin_service.errors import AmountNotPayableError, PaymentProviderUnavailableError, UnknownPackError
from coin_service.ledger import Request
from coin_service.prices import Price
from coin_service.wallet_route import WalletRoute
from common.auth import CurrentUserDep
from common.errors import (
    IdempotencyKeyReusedError,
    InvalidTokenError,
    ServiceUnavailableError,
    ValidationFailedError,
    responses,
)
from common.idempotency import REPLAYED_HEADER, IdempotencyKey, IdempotencyKeyDep, chosen_key, fingerprint
from common.routing import json_router
from common.schemas import Coins, Envelope, ReadModel, RequestModel, Text, ok

router = json_router(prefix="/api/coin", tags=["coin"], route_class=WalletRoute)


class PriceRead(ReadModel):
    """``amount`` in the smallest unit of ``currency``: 100 and `usd` are 1.00 USD."""

    amount: int
    currency: str


class PackRead(ReadModel):
    """Coins that are offered together."""

    id: str
    coins: int
    price: PriceRead
    google_play_product_id: str | None


class PacksRead(ReadModel):
    packs: list[PackRead]


class CheckoutRequest(RequestModel):
    """Order coins: a pack, or a number of them."""

    pack_id: Annotated[Text, StringConstraints(min_length=1, max_length=100)] | None = Field(
        default=None, examples=["coins_100"]
    )
    amount: Coins | None = None
    idempotency_key: IdempotencyKey | None = None


class CheckoutRead(ReadModel):
    """``clientSecret`` lets Stripe's SDK on the phone pay; afterwards `transactionId` is claimed with `buy`."""

    transaction_id: str
    client_secret: str
    amount: int
    """Coins."""
    price: PriceRead


async def checkout_service(request: HttpRequest) -> CheckoutService:
    service: CheckoutService = request.app.state.checkout_service
    return service


CheckoutServiceDep = Annotated[CheckoutService, Depends(checkout_service)]


@router.get("/packs", responses=responses(InvalidTokenError))
async def packs(_: CurrentUserDep, checkouts: CheckoutServiceDep) -> Envelope[PacksRead]:
    """List what is offered; other numbers of coins cost the same a coin."""
    offered = [
        PackRead(
            id=pack.id,
            coins=pack.coins,
            price=_price(checkouts.prices.price(pack.coins)),
            google_play_product_id=pack.google_play_product_id,
        )
        for pack in checkouts.packs
    ]
    return ok(PacksRead(packs=offered))


@router.post(
    "/checkout",
    responses=responses(
        InvalidTokenError,
        ValidationFailedError,
        UnknownPackError,
        AmountNotPayableError,
        IdempotencyKeyReusedError,
        PaymentProviderUnavailableError,
        ServiceUnavailableError,
    ),
)
async def checkout(
    body: CheckoutRequest,
    user: CurrentUserDep,
    checkouts: CheckoutServiceDep,
    key: IdempotencyKeyDep,
    response: Response,
) -> Envelope[CheckoutRead]:
    """Make a payment for coins at Stripe; they are credited once it is paid, even if the app never comes back."""
    coins = checkouts.coins(pack_id=body.pack_id, amount=body.amount)
    request = Request.of(user.id, chosen_key(key, body.idempotency_key), fingerprint("checkout", body))
    opened = await checkouts.open(user.id, coins, request=request)
    if opened.replayed:
        response.headers[REPLAYED_HEADER] = "true"
    return ok(
        CheckoutRead(
            transaction_id=opened.transaction_id,
            client_secret=opened.client_secret.get_secret_value(),
            amount=opened.coins,
            price=_price(opened.price),
        )
    )


def _price(price: Price) -> PriceRead:
    return PriceRead(amount=price.amount, currency=price.currency)
