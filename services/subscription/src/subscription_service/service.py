"""What users and other services may know of subscriptions, and when Google is asked for it."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from common.clients.subscription import Entitlement
from common.clock import utc_now
from common.logging import get_logger
from subscription_service.errors import (
    GooglePlayNotConfiguredError,
    GooglePlayUnavailableError,
    PackageNotAllowedError,
)
from subscription_service.flights import Flights
from subscription_service.models import Standing, Subscription, SubscriptionStatus
from subscription_service.plans import plan_name
from subscription_service.providers.google_play import GooglePlay
from subscription_service.purchases import PurchaseBook
from subscription_service.settings import Settings
from subscription_service.store import SubscriptionStore

logger = get_logger(__name__)

STATUS_WAIT_SECONDS = 3.0
"""How long ``status`` waits for Google before the last known state holds."""

ENTITLEMENT_WAIT_SECONDS = 1.5
"""The same where somebody waits for a picture."""

ENTITLEMENT_REREAD = timedelta(seconds=10)
"""What grants nothing is asked about this often at most, however many pictures are drawn in that time."""

OUTAGE_STEP = timedelta(minutes=1)
"""An entitlement that holds only because Google is away is good for this long, then it is asked again."""

MAX_REREADS = 3
"""Purchases of one user that are asked about for one request."""

CLOSING_SECONDS = 5.0

_ORDER = (
    SubscriptionStatus.PAUSED,
    SubscriptionStatus.PENDING,
    SubscriptionStatus.ON_HOLD,
    SubscriptionStatus.CANCELED,
    SubscriptionStatus.GRACE_PERIOD,
    SubscriptionStatus.ACTIVE,
)
"""Among purchases that all grant or all do not, the later counts more; ended ones only if there is nothing else."""


class SubscriptionService:
    """Subscriptions as users and other services see them."""

    def __init__(
        self,
        subscriptions: SubscriptionStore,
        play: GooglePlay,
        settings: Settings,
        *,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._subscriptions = subscriptions
        self._purchases = PurchaseBook(subscriptions, play, settings, now)
        self._packages = frozenset(settings.google_play_packages)
        self._plans = settings.subscription_plans
        self._outage_grace = settings.google_play_outage_grace
        self._now = now
        self._flights = Flights()

    async def verify(self, user_id: str, purchase_token: str, product_id: str, package_name: str) -> Standing:
        """Link a purchase to a user by Google's word; any number of times, at once or one after the other.

        Raises:
            PackageNotAllowedError: It would be another app's; Google was not asked.
            ServiceError: As ``PurchaseBook.link``.
        """
        if not self._packages:
            raise GooglePlayNotConfiguredError
        if package_name not in self._packages:
            raise PackageNotAllowedError
        subscription = await self._flights.join(
            ("link", user_id, purchase_token, product_id, package_name),
            lambda: self._purchases.link(user_id, purchase_token, product_id, package_name),
        )
        return self._standing(subscription)

    async def status(self, user_id: str) -> Standing:
        """Return the user's best subscription; Google is asked about what may have renewed or recovered."""
        return self._standing(await self._current(user_id, wait_seconds=STATUS_WAIT_SECONDS))

    async def entitlement(self, user_id: str) -> Entitlement:
        """Say whether the user is covered, and until when that is known to hold."""
        subscription = await self._current(
            user_id, wait_seconds=ENTITLEMENT_WAIT_SECONDS, not_asked_since=self._now() - ENTITLEMENT_REREAD
        )
        if subscription is None or subscription.expires_at is None or not self._is_active(subscription):
            return Entitlement(active=False, until=None)
        now = self._now()
        if subscription.covers(now):
            return Entitlement(active=True, until=subscription.expires_at)
        return Entitlement(active=True, until=min(now + OUTAGE_STEP, subscription.expires_at + self._outage_grace))

    async def recheck_next(self) -> bool:
        """Ask again about one purchase that waits for it: not acknowledged, or pending; ``False`` if none does.

        Raises:
            GooglePlayUnavailableError: Google cannot be asked now; the purchase was put off.
        """
        claimed = await self._subscriptions.claim_recheck(self._now())
        if claimed is None:
            return False
        await self._reread(claimed)
        return True

    async def close(self) -> None:
        """Let the questions under way end."""
        await self._flights.close(within_seconds=CLOSING_SECONDS)

    async def _current(
        self, user_id: str, *, wait_seconds: float, not_asked_since: datetime | None = None
    ) -> Subscription | None:
        """Return the subscription that counts; those that may have news are asked about first.

        Args:
            user_id: Whose.
            wait_seconds: How long Google may take.
            not_asked_since: What was asked about later than this is taken as it is.
        """
        now = self._now()
        found = await self._subscriptions.find_open(user_id)
        if not any(subscription.covers(now) for subscription in found):
            due = [each for each in found if not_asked_since is None or each.verified_at <= not_asked_since]
            due.sort(key=lambda each: each.verified_at)  # each has its turn, however many there are
            asked = await asyncio.gather(*(self._reread_within(each, wait_seconds) for each in due[:MAX_REREADS]))
            latest = {subscription.id: subscription for subscription in [*found, *asked]}
            found = [subscription for subscription in latest.values() if not subscription.ended]
        if found:
            return max(found, key=self._rank)
        return await self._subscriptions.find_latest(user_id)

    async def _reread(self, subscription: Subscription, *, within_seconds: float | None = None) -> Subscription:
        return await self._flights.join(
            ("read", subscription.id), lambda: self._purchases.reread(subscription), within_seconds=within_seconds
        )

    async def _reread_within(self, subscription: Subscription, seconds: float) -> Subscription:
        try:
            return await self._reread(subscription, within_seconds=seconds)
        except (GooglePlayUnavailableError, TimeoutError) as error:
            logger.warning("last known state holds", purchase=subscription.id[:12], error=type(error).__name__)
            return subscription

    def _rank(self, subscription: Subscription) -> tuple[bool, int, float]:
        ends = subscription.expires_at.timestamp() if subscription.expires_at is not None else 0.0
        return self._is_active(subscription), _ORDER.index(subscription.status), ends

    def _is_active(self, subscription: Subscription) -> bool:
        return subscription.is_active(self._now(), self._outage_grace)

    def _standing(self, subscription: Subscription | None) -> Standing:
        if subscription is None:
            return Standing(None, is_active=False, plan_name=None)
        name = plan_name(subscription.product_id, self._plans)
        return Standing(subscription, is_active=self._is_active(subscription), plan_name=name)
