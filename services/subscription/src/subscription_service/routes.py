"""HTTP: the users' routes, and the one for the other services."""

from fastapi import Depends

from common.auth import CurrentUserDep
from common.clients.subscription import READ_SCOPE, Entitlement
from common.errors import InvalidTokenError, ServiceUnavailableError, ValidationFailedError, responses
from common.routing import json_router
from common.schemas import Envelope, ObjectIdStr, ok
from common.service_auth import require_scope
from subscription_service.dependencies import SubscriptionServiceDep
from subscription_service.errors import (
    GooglePlayFailedError,
    GooglePlayNotConfiguredError,
    GooglePlayUnavailableError,
    PackageNotAllowedError,
    ProductMismatchError,
    PurchaseAlreadyLinkedError,
    PurchaseExpiredError,
    PurchaseNotFoundError,
    TestPurchaseNotAllowedError,
)
from subscription_service.schemas import SubscriptionAnswer, VerifyRequest

public_router = json_router(prefix="/api/subscription", tags=["subscription"])
internal_router = json_router(prefix="/internal", tags=["internal"])

VERIFY_ERRORS = responses(
    InvalidTokenError,
    PurchaseNotFoundError,
    PurchaseAlreadyLinkedError,
    PurchaseExpiredError,
    ValidationFailedError,
    PackageNotAllowedError,
    ProductMismatchError,
    TestPurchaseNotAllowedError,
    GooglePlayFailedError,
    GooglePlayUnavailableError,
    GooglePlayNotConfiguredError,
)


@public_router.post("/verify", responses=VERIFY_ERRORS)
async def verify(
    body: VerifyRequest, user: CurrentUserDep, subscriptions: SubscriptionServiceDep
) -> Envelope[SubscriptionAnswer]:
    """Link a Google Play subscription to the user; may be repeated at every start of the app."""
    standing = await subscriptions.verify(user.id, body.purchase_token, body.product_id, body.package_name)
    return ok(SubscriptionAnswer.from_standing(standing))


@public_router.get("/status", responses=responses(InvalidTokenError, ServiceUnavailableError))
async def status(user: CurrentUserDep, subscriptions: SubscriptionServiceDep) -> Envelope[SubscriptionAnswer]:
    """Show the user's subscription; ``status`` is ``none`` without one."""
    return ok(SubscriptionAnswer.from_standing(await subscriptions.status(user.id)))


@internal_router.get("/entitlements/{user_id}", dependencies=[Depends(require_scope(READ_SCOPE))])
async def entitlement(user_id: ObjectIdStr, subscriptions: SubscriptionServiceDep) -> Envelope[Entitlement]:
    """Say whether a user's subscription covers generation."""
    return ok(await subscriptions.entitlement(user_id))
