"""Callers of the service, without and with HTTP between them."""

from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import httpx

from subscription_service.models import Standing, SubscriptionStatus
from subscription_service.service import SubscriptionService
from subscription_service.testing.google_play import PACKAGE, PRODUCT


class MakeService(Protocol):
    """Makes a service with these settings, each as another process would have it."""

    def __call__(self, **settings: Any) -> SubscriptionService: ...


class OpenClient(Protocol):
    """Starts the application with these settings and talks to it."""

    def __call__(self, **settings: Any) -> AbstractAsyncContextManager[httpx.AsyncClient]: ...


ADA, BOB = "a" * 24, "b" * 24


async def verify(service: SubscriptionService, user_id: str = ADA, token: str = "t1") -> Standing:
    """Tell of a purchase."""
    return await service.verify(user_id, token, PRODUCT, PACKAGE)


def told(standing: Standing) -> tuple[str, bool]:
    """Return what the user would see: the status, and whether it grants anything."""
    status = standing.subscription.status if standing.subscription else SubscriptionStatus.NONE
    return status.value, standing.is_active
