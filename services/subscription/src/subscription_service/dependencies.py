"""What the handlers are given.

Each is ``async`` because FastAPI runs a plain function in a thread, which costs more than it does.
"""

from typing import Annotated

from fastapi import Depends, Request

from subscription_service.service import SubscriptionService


async def _subscription_service(request: Request) -> SubscriptionService:
    service: SubscriptionService = request.app.state.subscription_service
    return service


SubscriptionServiceDep = Annotated[SubscriptionService, Depends(_subscription_service)]
