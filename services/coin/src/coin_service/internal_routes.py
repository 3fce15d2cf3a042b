"""What other services can do with a user's coins; never routed by the gateway."""

from typing import Annotated

from fastapi import Depends, Path

from coin_service.dependencies import CoinServiceDep, HoldServiceDep, RefundServiceDep
from coin_service.models import Entry
from common.clients.auth import AccountNotFoundError
from common.clients.coin import (
    CAPTURE_SCOPE,
    HOLD_SCOPE,
    READ_SCOPE,
    REFUND_SCOPE,
    VOID_SCOPE,
    CaptureRequest,
    HoldNotCapturedError,
    HoldNotFoundError,
    HoldRequest,
    HoldResolvedError,
    InsufficientCoinsError,
    RefundRequest,
    RefundTooLargeError,
    VoidRequest,
    Wallet,
)
from common.errors import IdempotencyKeyReusedError, responses
from common.routing import json_router
from common.schemas import Envelope, ObjectIdStr, ok
from common.service_auth import require_scope

router = json_router(prefix="/internal", tags=["internal"])


@router.get(
    "/wallets/{user_id}", dependencies=[Depends(require_scope(READ_SCOPE))], responses=responses(AccountNotFoundError)
)
async def wallet(user_id: Annotated[ObjectIdStr, Path()], coins: CoinServiceDep) -> Envelope[Wallet]:
    """Tell what a user has."""
    return ok(_wallet(await coins.last(user_id)))


@router.post(
    "/holds",
    dependencies=[Depends(require_scope(HOLD_SCOPE))],
    responses=responses(InsufficientCoinsError, HoldResolvedError, AccountNotFoundError, IdempotencyKeyReusedError),
)
async def hold(body: HoldRequest, holds: HoldServiceDep) -> Envelope[Wallet]:
    """Set coins aside."""
    return ok(_wallet(await holds.hold(body.user_id, body.coins, key=body.key)))


@router.post(
    "/captures",
    dependencies=[Depends(require_scope(CAPTURE_SCOPE))],
    responses=responses(HoldNotFoundError, HoldResolvedError, IdempotencyKeyReusedError),
)
async def capture(body: CaptureRequest, holds: HoldServiceDep) -> Envelope[Wallet]:
    """Take coins of a hold and release the rest."""
    return ok(_wallet(await holds.capture(body.user_id, body.coins, key=body.key, reference=body.reference)))


@router.post(
    "/voids",
    dependencies=[Depends(require_scope(VOID_SCOPE))],
    responses=responses(HoldResolvedError, AccountNotFoundError),
)
async def void(body: VoidRequest, holds: HoldServiceDep) -> Envelope[Wallet]:
    """Give a hold back whole, or refuse it before it comes."""
    return ok(_wallet(await holds.void(body.user_id, key=body.key)))


@router.post(
    "/refunds",
    dependencies=[Depends(require_scope(REFUND_SCOPE))],
    responses=responses(
        HoldNotFoundError, HoldNotCapturedError, HoldResolvedError, RefundTooLargeError, IdempotencyKeyReusedError
    ),
)
async def refund(body: RefundRequest, refunds: RefundServiceDep) -> Envelope[Wallet]:
    """Give coins of a captured hold back, never more than were taken."""
    return ok(_wallet(await refunds.refund(body.user_id, body.coins, hold_key=body.hold_key, key=body.key)))


def _wallet(last: Entry) -> Wallet:
    return Wallet(balance=last.spendable, held=last.held)
