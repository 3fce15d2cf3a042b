"""One purchase: ask Google about it, keep what it says, and do what follows from that."""

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Any

from common.errors import ServiceError
from common.logging import get_logger
from subscription_service.errors import (
    ProductMismatchError,
    PurchaseAlreadyLinkedError,
    PurchaseExpiredError,
    PurchaseNotFoundError,
    TestPurchaseNotAllowedError,
)
from subscription_service.models import RECHECK_FIRST, Purchase, Subscription, SubscriptionStatus, token_hash
from subscription_service.providers.google_play import GooglePlay
from subscription_service.settings import Settings
from subscription_service.store import SubscriptionStore

logger = get_logger(__name__)


class PurchaseBook:
    """Purchases on record and what Google says of them."""

    def __init__(
        self, subscriptions: SubscriptionStore, play: GooglePlay, settings: Settings, now: Callable[[], datetime]
    ) -> None:
        self._subscriptions = subscriptions
        self._play = play
        self._accepts_tests = settings.accepts_test_purchases
        self._outage_grace = settings.google_play_outage_grace
        self._now = now

    async def link(self, user_id: str, purchase_token: str, product_id: str, package_name: str) -> Subscription:
        """Put a purchase on record as the user's, or bring its record up to date.

        Raises:
            PurchaseNotFoundError: Google does not know it.
            ProductMismatchError: It is of another product.
            TestPurchaseNotAllowedError: It is a tester's, and those do not count here.
            PurchaseAlreadyLinkedError: It is another account's.
            PurchaseExpiredError: It is over; that is on record if Google said what it was.
            GooglePlayUnavailableError: Google could not be asked; nothing changed.
        """
        subscription_id = token_hash(purchase_token)
        known = await self._subscriptions.find(subscription_id)
        if known is not None and known.user_id != user_id:
            raise PurchaseAlreadyLinkedError
        asked_at = self._now()
        try:
            purchase = await self._play.find_purchase(package_name, purchase_token)
        except PurchaseExpiredError:
            if known is not None:
                await self._end(known, asked_at)
            raise
        if product_id not in purchase.product_ids:
            raise ProductMismatchError
        if purchase.test and not self._accepts_tests:
            raise TestPurchaseNotAllowedError
        if known is None:
            await self._check_account(user_id, purchase)
        subscription = Subscription(
            id=subscription_id,
            user_id=user_id,
            package_name=package_name,
            product_id=product_id,
            purchase_token=purchase_token,
            created_at=asked_at,
            **_said(purchase, subscription_id, known, asked_at),
        )
        stored = await self._settle(await self._keep(subscription, known))
        logger.info("purchase verified", purchase=stored.id[:12], status=stored.status.value, user_id=user_id)
        if stored.ended:
            raise PurchaseExpiredError
        return stored

    async def reread(self, known: Subscription) -> Subscription:
        """Ask Google about a purchase on record, and keep the answer.

        Raises:
            GooglePlayUnavailableError: There is none; nothing changed.
        """
        asked_at = self._now()
        try:
            purchase = await self._play.find_purchase(known.package_name, known.purchase_token)
        except PurchaseExpiredError:
            return await self._end(known, asked_at)
        except (PurchaseNotFoundError, ProductMismatchError):
            # Google has vouched for it until some time: before that time this is a fault, not evidence.
            return known if known.covers(asked_at) else await self._end(known, asked_at)
        product_id = known.product_id if known.product_id in purchase.product_ids else purchase.product_ids[0]
        update = {"product_id": product_id, **_said(purchase, known.id, known, asked_at)}
        return await self._settle(await self._subscriptions.set_said(known.model_copy(update=update)))

    async def _check_account(self, user_id: str, purchase: Purchase) -> None:
        """Let nobody but its buyer link a purchase, as far as Google or our own records know the buyer.

        An app may tell Google the buyer's user id, or its SHA-256 in hex; then that decides. Otherwise a purchase that
        continues another one is that one's owner's, for as long as it grants: nobody pays once for two accounts.
        """
        if purchase.account_id is not None:
            if not _is_account(purchase.account_id, user_id):
                raise PurchaseAlreadyLinkedError
        elif purchase.replaced_token is not None:
            replaced = await self._subscriptions.find(token_hash(purchase.replaced_token))
            if (
                replaced is not None
                and replaced.user_id != user_id
                and replaced.is_active(self._now(), self._outage_grace)
            ):
                raise PurchaseAlreadyLinkedError

    async def _keep(self, subscription: Subscription, known: Subscription | None) -> Subscription:
        if known is None:
            if await self._subscriptions.add(subscription):
                return subscription
            # Another request was first; the insert has decided whose it is.
            known = await self._subscriptions.find(subscription.id)
            if known is None or known.user_id != subscription.user_id:
                raise PurchaseAlreadyLinkedError
        return await self._subscriptions.set_said(subscription)

    async def _settle(self, subscription: Subscription) -> Subscription:
        """Do what follows from a purchase on record; every step may be repeated, so a crash in between costs nothing.

        Both sides of a replacement look for the other after they were written, so one of them sees it.
        """
        if subscription.replaces is not None and subscription.paid:
            await self._subscriptions.set_superseded(subscription.replaces, by=subscription.id)
        if subscription.superseded_by is None:
            successor = await self._subscriptions.find_successor(subscription.id)
            if successor is not None:
                return await self._subscriptions.set_superseded(subscription.id, by=successor.id) or subscription
        if subscription.needs_acknowledgement(self._now()):
            await self._acknowledge(subscription)
        return subscription

    async def _acknowledge(self, subscription: Subscription) -> None:
        try:
            await self._play.acknowledge(
                subscription.package_name, subscription.product_id, subscription.purchase_token
            )
        except ServiceError as error:
            # The user has what was paid for; the background tries again, long before Google's three days are over.
            logger.warning("purchase not acknowledged yet", purchase=subscription.id[:12], code=error.code)
        else:
            await self._subscriptions.set_acknowledged(subscription.id)

    async def _end(self, known: Subscription, asked_at: datetime) -> Subscription:
        status = known.status if known.ended else SubscriptionStatus.EXPIRED
        logger.info("subscription ended", purchase=known.id[:12], user_id=known.user_id)
        update = {"status": status, "verified_at": asked_at, "recheck_at": None}
        return await self._subscriptions.set_said(known.model_copy(update=update))


def _said(purchase: Purchase, subscription_id: str, known: Subscription | None, asked_at: datetime) -> dict[str, Any]:
    """Return the fields of a record that follow from Google's answer."""
    replaces = None if purchase.replaced_token is None else token_hash(purchase.replaced_token)
    said: dict[str, Any] = {
        "status": purchase.status,
        "expires_at": purchase.expires_at or (known.expires_at if known is not None else None),
        "auto_renewing": purchase.auto_renewing,
        "test_purchase": purchase.test,
        # An answer on its way while we acknowledged is older than that; of an unpaid purchase it means nothing.
        "acknowledged": purchase.acknowledged or (known is not None and known.paid and known.acknowledged),
        "paid": purchase.paid,
        # Google tells of the purchase before a resubscription only until it is acknowledged.
        "replaces": replaces if replaces not in (None, subscription_id) else known.replaces if known else None,
        "verified_at": asked_at,
        "recheck_at": None,
    }
    unacknowledged = purchase.grants_at(asked_at) and not said["acknowledged"]
    if unacknowledged or purchase.status is SubscriptionStatus.PENDING:
        said["recheck_at"] = (known.recheck_at if known is not None else None) or asked_at + RECHECK_FIRST
    return said


def _is_account(account_id: str, user_id: str) -> bool:
    return account_id.lower() in (user_id.lower(), hashlib.sha256(user_id.encode()).hexdigest())
