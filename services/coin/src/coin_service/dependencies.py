"""What handlers are handed.

Each is ``async`` because FastAPI runs a plain function in a thread, which costs more than it does.
"""

from typing import Annotated

from fastapi import Depends, Request

from coin_service.earning import EarningService
from coin_service.holds import HoldService
from coin_service.purchases import PurchaseService
from coin_service.refunds import RefundService
from coin_service.service import CoinService


async def coin_service(request: Request) -> CoinService:
    service: CoinService = request.app.state.coin_service
    return service


async def earning_service(request: Request) -> EarningService:
    service: EarningService = request.app.state.earning_service
    return service


async def purchase_service(request: Request) -> PurchaseService:
    service: PurchaseService = request.app.state.purchase_service
    return service


async def hold_service(request: Request) -> HoldService:
    service: HoldService = request.app.state.hold_service
    return service


async def refund_service(request: Request) -> RefundService:
    service: RefundService = request.app.state.refund_service
    return service


CoinServiceDep = Annotated[CoinService, Depends(coin_service)]
EarningServiceDep = Annotated[EarningService, Depends(earning_service)]
PurchaseServiceDep = Annotated[PurchaseService, Depends(purchase_service)]
HoldServiceDep = Annotated[HoldService, Depends(hold_service)]
RefundServiceDep = Annotated[RefundService, Depends(refund_service)]
