"""What the handlers are given."""

from typing import Annotated

from fastapi import Depends, Request

from subscription_service.service import SubscriptionService


def _subscription_service(request: Request) -> SubscriptionService:
    service: SubscriptionService = request.app.state.subscription_service
    return service


SubscriptionServiceDep = Annotated[SubscriptionService, Depends(_subscription_service)]
