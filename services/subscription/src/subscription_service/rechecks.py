"""The background: acknowledge what could not be, and ask about pending purchases while no app does."""

import asyncio
import random

from common.logging import get_logger
from common.mongo import DATABASE_UNAVAILABLE
from subscription_service.errors import GooglePlayUnavailableError
from subscription_service.service import SubscriptionService

logger = get_logger(__name__)

BATCH = 20
"""Purchases asked about in one look, so that Google's quota is left to the users."""


class Rechecker:
    """Looks every now and then for purchases that are due; any number of processes may do so at once."""

    def __init__(self, subscriptions: SubscriptionService, *, interval_seconds: float) -> None:
        self._subscriptions = subscriptions
        self._interval_seconds = interval_seconds

    async def run(self) -> None:
        """Look for ever; cancel to stop."""
        while True:
            # Several processes started together drift apart.
            await asyncio.sleep(self._interval_seconds * random.uniform(0.8, 1.2))  # noqa: S311 - nothing secret
            await self.look()

    async def look(self) -> int:
        """Ask about the purchases that are due, and return how many those were."""
        asked = 0
        try:
            while asked < BATCH and await self._subscriptions.recheck_next():
                asked += 1
        except GooglePlayUnavailableError as error:
            logger.warning("google play cannot be asked from the background", code=error.code)
        except DATABASE_UNAVAILABLE as error:
            logger.warning("database unavailable", error=type(error).__name__)
        except Exception:
            # One purchase that nobody foresaw must not end the acknowledging of all others; it was put off.
            logger.exception("recheck crashed")
        return asked
