"""Android Publisher v3's JSON, read as strictly as a stranger's input (discovery document, revision 20261026)."""

import re
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from subscription_service.models import GRANTING, Purchase, SubscriptionStatus

_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")

STATUSES = {
    "SUBSCRIPTION_STATE_PENDING": SubscriptionStatus.PENDING,
    "SUBSCRIPTION_STATE_ACTIVE": SubscriptionStatus.ACTIVE,
    "SUBSCRIPTION_STATE_IN_GRACE_PERIOD": SubscriptionStatus.GRACE_PERIOD,
    "SUBSCRIPTION_STATE_ON_HOLD": SubscriptionStatus.ON_HOLD,
    "SUBSCRIPTION_STATE_PAUSED": SubscriptionStatus.PAUSED,
    "SUBSCRIPTION_STATE_CANCELED": SubscriptionStatus.CANCELED,
    "SUBSCRIPTION_STATE_EXPIRED": SubscriptionStatus.EXPIRED,
    # A signup whose payment was called off: it is over, and never was.
    "SUBSCRIPTION_STATE_PENDING_PURCHASE_CANCELED": SubscriptionStatus.EXPIRED,
}
"""``UNSPECIFIED`` and states of the future are missing on purpose: they say nothing that could be acted on."""

_UNPAID = ("SUBSCRIPTION_STATE_PENDING", "SUBSCRIPTION_STATE_PENDING_PURCHASE_CANCELED")


def _parse_time(value: object) -> datetime:
    match = _RFC3339.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("is not an RFC 3339 time")
    seconds, fraction, zone = match.groups()
    # MongoDB keeps milliseconds; cut, never rounded up: nobody is granted what was not paid for.
    milliseconds = f"{fraction or '0':0<3}"[:3]
    moment = datetime.fromisoformat(f"{seconds}.{milliseconds}{'+00:00' if zone == 'Z' else zone}")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("is out of range") from error


Time = Annotated[datetime, BeforeValidator(_parse_time)]
"""RFC 3339 with 0 … 9 fraction digits, cut to milliseconds."""

Token = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
ProductId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$")]
EnumName = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9_]{1,100}$")]
AccountId = Annotated[str, StringConstraints(max_length=1000)]


class _Wire(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class _AutoRenewingPlan(_Wire):
    autoRenewEnabled: bool = False  # noqa: N815 - Google's spelling, here and below


class _LineItem(_Wire):
    productId: ProductId  # noqa: N815
    expiryTime: Time | None = None  # noqa: N815
    autoRenewingPlan: _AutoRenewingPlan | None = None  # noqa: N815


class _AccountIdentifiers(_Wire):
    obfuscatedExternalAccountId: AccountId | None = None  # noqa: N815


class _OutOfAppPurchase(_Wire):
    """Bought again in the Play Store after the end; Google drops this once the purchase is acknowledged."""

    expiredPurchaseToken: Token | None = None  # noqa: N815
    expiredExternalAccountIdentifiers: _AccountIdentifiers | None = None  # noqa: N815


class SubscriptionPurchaseV2(_Wire):
    """The answer of ``purchases.subscriptionsv2.get``, as far as it is used."""

    subscriptionState: EnumName  # noqa: N815
    acknowledgementState: EnumName | None = None  # noqa: N815
    lineItems: Annotated[list[_LineItem], Field(min_length=1, max_length=100)]  # noqa: N815
    linkedPurchaseToken: Token | None = None  # noqa: N815
    externalAccountIdentifiers: _AccountIdentifiers | None = None  # noqa: N815
    outOfAppPurchaseContext: _OutOfAppPurchase | None = None  # noqa: N815
    testPurchase: dict[str, Any] | None = None  # noqa: N815
    """An empty object for a tester's purchase, absent for others."""

    def to_purchase(self) -> Purchase:
        """Translate into our words.

        Raises:
            ValueError: The state is one that says nothing, or grants without an end.
        """
        status = STATUSES.get(self.subscriptionState)
        if status is None:
            raise ValueError(f"the state {self.subscriptionState!r} is not known")
        items = sorted(self.lineItems, key=lambda item: item.expiryTime or datetime.min.replace(tzinfo=UTC))[::-1]
        if status in GRANTING and items[0].expiryTime is None:
            raise ValueError("grants without an end")
        again = self.outOfAppPurchaseContext
        return Purchase(
            status=status,
            product_ids=tuple(item.productId for item in items),
            expires_at=items[0].expiryTime,
            auto_renewing=any(item.autoRenewingPlan and item.autoRenewingPlan.autoRenewEnabled for item in items),
            test=self.testPurchase is not None,
            acknowledged=self.acknowledgementState != "ACKNOWLEDGEMENT_STATE_PENDING",
            paid=self.subscriptionState not in _UNPAID,
            account_id=self._account_id(),
            replaced_token=self.linkedPurchaseToken or (again.expiredPurchaseToken if again else None),
        )

    def _account_id(self) -> str | None:
        again = self.outOfAppPurchaseContext
        for identifiers in (
            self.externalAccountIdentifiers,
            again.expiredExternalAccountIdentifiers if again else None,
        ):
            if identifiers is not None and identifiers.obfuscatedExternalAccountId:
                return identifiers.obfuscatedExternalAccountId
        return None


class _ErrorReason(_Wire):
    reason: Annotated[str, StringConstraints(max_length=100)] = ""


class _ErrorContent(_Wire):
    code: int
    status: Annotated[str, StringConstraints(max_length=100)] = ""
    errors: Annotated[list[_ErrorReason], Field(max_length=100)] = []


class ErrorEnvelope(_Wire):
    """Google's failure; ``status`` is not always there, nor are the ``errors``."""

    error: _ErrorContent

    @property
    def words(self) -> AbstractSet[str]:
        """Everything by which it calls the failure; the sentences are for people."""
        return {self.error.status, *(error.reason for error in self.error.errors)} - {""}
