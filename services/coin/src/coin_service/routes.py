"""What users can do with their coins."""

from typing import Annotated

from fastapi import Query, Response

from coin_service.dependencies import CoinServiceDep, EarningServiceDep, PurchaseServiceDep
from coin_service.errors import (
    AmountMismatchError,
    AmountTooLargeError,
    EarnLimitReachedError,
    PaymentAlreadyUsedError,
    PaymentNotCompletedError,
    PaymentNotFoundError,
    PaymentProviderUnavailableError,
    UnknownSourceError,
    VerificationRequiredError,
)
from coin_service.ledger import Request
from coin_service.models import EntryType
from coin_service.providers import Purchase
from coin_service.schemas import (
    BalanceRead,
    BuyRequest,
    DeductRequest,
    EarnRead,
    EarnRequest,
    MovedRead,
    TransactionRead,
    TransactionsRead,
)
from coin_service.wallet_route import WalletRoute
from common.auth import CurrentUserDep
from common.clients.coin import InsufficientCoinsError
from common.errors import (
    IdempotencyKeyReusedError,
    InvalidTokenError,
    ServiceUnavailableError,
    UpstreamTimeoutError,
    ValidationFailedError,
    responses,
)
from common.idempotency import REPLAYED_HEADER, IdempotencyKeyDep, chosen_key, fingerprint
from common.pagination import PageQueryDep
from common.routing import json_router
from common.schemas import Envelope, ok

router = json_router(prefix="/api/coin", tags=["coin"], route_class=WalletRoute)

READ_ERRORS = (InvalidTokenError, ValidationFailedError, ServiceUnavailableError)
WRITE_ERRORS = (*READ_ERRORS, IdempotencyKeyReusedError, UpstreamTimeoutError)


@router.get("/balance", responses=responses(*READ_ERRORS))
async def balance(user: CurrentUserDep, coins: CoinServiceDep) -> Envelope[BalanceRead]:
    """Tell what can be spent and what is set aside."""
    last = await coins.last(user.id)
    return ok(BalanceRead(balance=last.spendable, held=last.held, updated_at=last.created_at))


@router.get("/transactions", responses=responses(*READ_ERRORS))
async def transactions(
    user: CurrentUserDep,
    coins: CoinServiceDep,
    page: PageQueryDep,
    type_: Annotated[EntryType | None, Query(alias="type")] = None,
) -> Envelope[TransactionsRead]:
    """List what came and went, newest first; what is only held is not in it."""
    statement = await coins.statement(user.id, type_, page)
    lines = [TransactionRead.from_entry(entry) for entry in statement.entries]
    return ok(TransactionsRead(transactions=lines, pagination=statement.pagination))


@router.post(
    "/buy",
    responses=responses(
        PaymentNotCompletedError,
        PaymentNotFoundError,
        PaymentAlreadyUsedError,
        AmountMismatchError,
        PaymentProviderUnavailableError,
        *WRITE_ERRORS,
    ),
)
async def buy(
    body: BuyRequest, user: CurrentUserDep, purchases: PurchaseServiceDep, key: IdempotencyKeyDep, response: Response
) -> Envelope[MovedRead]:
    """Credit the coins of a payment made at Stripe or Google Play; the same payment again is the same transaction."""
    request = Request.of(user.id, chosen_key(key, body.idempotency_key), fingerprint("buy", body))
    purchase = Purchase(user.id, body.amount, body.transaction_id, body.product_id)
    receipt = await purchases.buy(purchase, method=body.payment_method, request=request)
    _mark(response, replayed=receipt.replayed)
    return ok(MovedRead(transaction=TransactionRead.from_entry(receipt.entry), balance=receipt.balance))


@router.post(
    "/earn",
    responses=responses(
        UnknownSourceError, AmountTooLargeError, VerificationRequiredError, EarnLimitReachedError, *WRITE_ERRORS
    ),
)
async def earn(
    body: EarnRequest, user: CurrentUserDep, earning: EarningServiceDep, key: IdempotencyKeyDep, response: Response
) -> Envelope[EarnRead]:
    """Credit a reward, such as for an advertisement watched."""
    request = Request.of(user.id, chosen_key(key, body.idempotency_key), fingerprint("earn", body))
    reward = await earning.earn(user.id, body.amount, source=body.source, request=request)
    _mark(response, replayed=reward.replayed)
    response.headers.update(reward.quota.headers)
    return ok(
        EarnRead(
            transaction=TransactionRead.from_entry(reward.entry),
            balance=reward.made.spendable,
            remaining_today=reward.quota.remaining,
        )
    )


@router.post("/deduct", responses=responses(InsufficientCoinsError, *WRITE_ERRORS))
async def deduct(
    body: DeductRequest, user: CurrentUserDep, coins: CoinServiceDep, key: IdempotencyKeyDep, response: Response
) -> Envelope[MovedRead]:
    """Spend coins."""
    request = Request.of(user.id, chosen_key(key, body.idempotency_key), fingerprint("deduct", body))
    moved = await coins.deduct(user.id, body.amount, reason=body.reason, request=request)
    _mark(response, replayed=moved.replayed)
    return ok(MovedRead(transaction=TransactionRead.from_entry(moved.entry), balance=moved.entry.spendable))


def _mark(response: Response, *, replayed: bool) -> None:
    if replayed:
        response.headers[REPLAYED_HEADER] = "true"
