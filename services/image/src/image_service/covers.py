"""Subscriptions as a way to pay: whether one covers an order, and how much of the day is left."""

import asyncio
from datetime import datetime

from common.clients.subscription import SubscriptionClient
from common.clock import utc_now
from common.errors import ServiceError
from common.logging import get_logger
from image_service.models import Generation
from image_service.store.covers import EntitlementStore, QuotaStore

logger = get_logger(__name__)

ENTITLEMENT_TIMEOUT_SECONDS = 3.0
"""Longer than the subscription service takes unless it is ill; then what was known last decides."""


class Covers:
    """Cover by subscription, up to a number of pictures a day (UTC)."""

    def __init__(
        self, client: SubscriptionClient, entitlements: EntitlementStore, quotas: QuotaStore, *, daily_images: int
    ) -> None:
        self._client = client
        self._entitlements = entitlements
        self._quotas = quotas
        self.daily_images = daily_images

    async def take(self, generation: Generation, *, is_repeat: bool = False) -> bool:
        """Cover all pictures of an order, or none.

        Args:
            generation: The order.
            is_repeat: It may have been tried before: what it was given then it keeps, and what is refused now stays
                refused, should the earlier try still arrive.
        """
        if is_repeat and await self._quotas.find_reserved(
            generation.user_id, _day(generation.created_at), generation.id
        ):
            return True
        is_taken = await self._take(generation)
        if is_repeat and not is_taken:
            await self.settle(generation, delivered=0)
        return is_taken

    async def _take(self, generation: Generation) -> bool:
        if self.daily_images < generation.order.samples or not await self._is_entitled(generation.user_id):
            return False
        return await self._quotas.reserve(
            generation.user_id,
            _day(generation.created_at),
            generation.id,
            generation.order.samples,
            limit=self.daily_images,
        )

    async def would_take(self, user_id: str, samples: int) -> bool:
        """Whether so many pictures would be covered if they were ordered now."""
        if self.daily_images < samples or not await self._is_entitled(user_id):
            return False
        return await self._quotas.count(user_id, _day(utc_now())) + samples <= self.daily_images

    async def settle(self, generation: Generation, *, delivered: int) -> None:
        """Count only what was delivered; it may be repeated, and what was never taken cannot be taken afterwards."""
        await self._quotas.settle(
            generation.user_id,
            _day(generation.created_at),
            generation.id,
            delivered=delivered,
        )

    async def _is_entitled(self, user_id: str) -> bool:
        now = utc_now()
        try:
            async with asyncio.timeout(ENTITLEMENT_TIMEOUT_SECONDS):
                entitlement = await self._client.entitlement(user_id)
        except (ServiceError, TimeoutError) as error:
            until = await self._entitlements.find_until(user_id)
            logger.warning(
                "entitlement unknown, last known one used", error=type(error).__name__, known=until is not None
            )
            return until is not None and now < until
        covers = entitlement.covers(now)
        await self._entitlements.set_until(user_id, entitlement.until if covers else None)
        return covers


def _day(moment: datetime) -> str:
    return moment.date().isoformat()
