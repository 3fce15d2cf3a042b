"""The subscription routes' bodies."""

from typing import Annotated, Self
from urllib.parse import urlencode

from pydantic import Field, StringConstraints

from common.schemas import ReadModel, RequestModel, Timestamp
from subscription_service.models import Standing, Subscription, SubscriptionStatus

MANAGE_URL = "https://play.google.com/store/account/subscriptions"

PurchaseToken = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,1000}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,255}$")]


class VerifyRequest(RequestModel):
    """What Google Play's billing library gave the app."""

    purchase_token: PurchaseToken = Field(examples=["opaque-token-up-to-150-characters"])
    product_id: Name = Field(examples=["pro_monthly"])
    package_name: Name = Field(examples=["com.example.app"])


class SubscriptionRead(ReadModel):
    """A user's subscription; without one ``status`` is ``none`` and the rest is ``null`` or ``false``."""

    status: SubscriptionStatus
    is_active: bool
    """Whether it covers the user now."""

    product_id: str | None
    plan_name: str | None
    expires_at: Timestamp | None
    """When the time paid for ends, or renews if ``autoRenewing``."""

    auto_renewing: bool
    in_grace_period: bool
    """The renewal was declined and Google tries again: the user should look after the payment method."""

    test_purchase: bool
    manage_url: str | None
    """Google Play's page on which the user changes or ends it."""

    @classmethod
    def from_standing(cls, standing: Standing) -> Self:
        subscription = standing.subscription
        if subscription is None:
            return cls(
                status=SubscriptionStatus.NONE,
                is_active=False,
                product_id=None,
                plan_name=None,
                expires_at=None,
                auto_renewing=False,
                in_grace_period=False,
                test_purchase=False,
                manage_url=None,
            )
        return cls(
            status=subscription.status,
            is_active=standing.is_active,
            product_id=subscription.product_id,
            plan_name=standing.plan_name,
            expires_at=subscription.expires_at,
            auto_renewing=subscription.auto_renewing,
            in_grace_period=subscription.status is SubscriptionStatus.GRACE_PERIOD,
            test_purchase=subscription.test_purchase,
            manage_url=_manage_url(subscription),
        )


class SubscriptionAnswer(ReadModel):
    """The data of both public routes."""

    subscription: SubscriptionRead

    @classmethod
    def from_standing(cls, standing: Standing) -> Self:
        return cls(subscription=SubscriptionRead.from_standing(standing))


def _manage_url(subscription: Subscription) -> str:
    return f"{MANAGE_URL}?{urlencode({'sku': subscription.product_id, 'package': subscription.package_name})}"
