"""What Google says of a purchase, and what is stored of it."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

RECHECK_FIRST = timedelta(seconds=30)
RECHECK_LONGEST = timedelta(hours=1)


class SubscriptionStatus(StrEnum):
    """The wire's ``status``; ``NONE`` is never stored."""

    NONE = "none"
    PENDING = "pending"
    ACTIVE = "active"
    GRACE_PERIOD = "grace_period"
    ON_HOLD = "on_hold"
    PAUSED = "paused"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REVOKED = "revoked"


GRANTING = frozenset({SubscriptionStatus.ACTIVE, SubscriptionStatus.GRACE_PERIOD, SubscriptionStatus.CANCELED})
"""These grant until their expiry; renewals are off in ``canceled``, yet it is paid for."""

RENEWING = frozenset({SubscriptionStatus.ACTIVE, SubscriptionStatus.GRACE_PERIOD})

ENDED = frozenset({SubscriptionStatus.EXPIRED, SubscriptionStatus.REVOKED})
"""From here no purchase token comes back: whoever subscribes again has a new one."""

OPEN = frozenset(SubscriptionStatus) - ENDED - {SubscriptionStatus.NONE}


def token_hash(purchase_token: str) -> str:
    """Return the id under which a purchase is stored."""
    return hashlib.sha256(purchase_token.encode()).hexdigest()


def recheck_delay(attempts: int) -> timedelta:
    """How long to wait after so many tries: 30 s, twice that each time, an hour at most."""
    doubled: int = 2 ** min(attempts, 10)
    return min(RECHECK_FIRST * doubled, RECHECK_LONGEST)


@dataclass(frozen=True, slots=True)
class Purchase:
    """A subscription purchase as Google describes it at one moment."""

    status: SubscriptionStatus
    product_ids: tuple[str, ...]
    """One a line item; the one that lasts longest first."""

    expires_at: datetime | None
    """The latest of its line items; ``None`` while nothing was paid."""

    auto_renewing: bool
    test: bool
    acknowledged: bool
    paid: bool
    """Whether it ever took effect: not while its first payment is pending, nor if that was called off."""

    account_id: str | None
    """What the app told Google of the buyer's account, if it did."""

    replaced_token: str | None
    """The purchase that this one continues: an upgrade, a downgrade, a new signup."""

    def grants_at(self, moment: datetime) -> bool:
        return self.status in GRANTING and self.expires_at is not None and moment < self.expires_at


class Subscription(BaseModel):
    """One purchase token, whose it is, and what Google said last."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, extra="ignore")

    id: str = Field(alias="_id")
    """SHA-256 of the purchase token: the unique ``_id`` gives each purchase to one account."""

    user_id: str
    package_name: str
    product_id: str
    purchase_token: str
    """Kept to ask Google again; never logged, never sent to a client."""

    status: SubscriptionStatus
    expires_at: datetime | None
    auto_renewing: bool
    test_purchase: bool
    acknowledged: bool
    paid: bool
    replaces: str | None
    """Id of the purchase that this one continues."""

    superseded_by: str | None = None
    """Id of the purchase that continues this one, which then grants nothing, whatever Google still says of it."""

    created_at: datetime
    verified_at: datetime
    """When the question was asked that Google answered last."""

    recheck_at: datetime | None
    """When the background is to ask again: for what is not acknowledged or still pending."""

    recheck_attempts: int = 0

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    def covers(self, now: datetime) -> bool:
        """Whether Google's last word is that it grants at ``now``."""
        return self.status in GRANTING and self.expires_at is not None and now < self.expires_at

    def is_active(self, now: datetime, outage_grace: timedelta) -> bool:
        """Whether it grants at ``now``, for somebody who has tried to ask Google if it was due.

        A renewing subscription that Google has not been heard of since before its expiry has very likely renewed: the
        last known state holds, for ``outage_grace`` at most. If Google was heard since, its word counts alone; and one
        that does not renew ends at its expiry, because Google had said so.
        """
        if self.covers(now) or self.expires_at is None:
            return self.covers(now)
        unheard = self.status in RENEWING and self.auto_renewing and self.verified_at < self.expires_at
        return unheard and now < self.expires_at + outage_grace

    def needs_acknowledgement(self, now: datetime) -> bool:
        """Whether Google will refund it unless it is acknowledged; what is pending covers nothing and must never be."""
        return not self.acknowledged and self.covers(now)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a user has: the subscription that counts, if any, and whether it grants now."""

    subscription: Subscription | None
    is_active: bool
    plan_name: str | None
