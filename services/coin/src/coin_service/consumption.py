"""Consume Play products once their coins are credited, however often that takes."""

import asyncio
import random
from datetime import timedelta

from coin_service.errors import PaymentProviderUnavailableError
from coin_service.payments import MAX_BACKOFF_SECONDS, OpenPayment, PaymentStore
from coin_service.providers.google_play import GooglePlayProvider
from coin_service.store import LedgerStore
from common.clock import utc_now
from common.logging import get_logger
from common.mongo import DATABASE_UNAVAILABLE

logger = get_logger(__name__)

POLL_SECONDS = 5.0
FIRST_BACKOFF_SECONDS = 5.0
IN_REQUEST_SECONDS = 2.0
IN_BACKGROUND_SECONDS = 20.0
UNCREDITED_SECONDS = 3600.0
"""A purchase noted this long ago without its coins was given up by its buyer; a new claim notes it again."""


class ConsumptionService:
    """Right after the purchase, and again from the background until it is done."""

    def __init__(
        self,
        payments: PaymentStore,
        entries: LedgerStore,
        play: GooglePlayProvider,
        *,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._payments = payments
        self._entries = entries
        self._play = play
        self._poll_seconds = poll_seconds

    async def settle(self, payment_id: str) -> None:
        """Consume one credited purchase if that is still open; a failure is left to the background."""
        try:
            payment = await self._payments.claim(payment_id)
            if payment is not None:
                await self._consume(payment, seconds=IN_REQUEST_SECONDS)
        except DATABASE_UNAVAILABLE as error:
            logger.warning("consumption postponed", payment_id=payment_id, error=type(error).__name__)

    async def run(self) -> None:
        """Work off what is due, until cancelled."""
        while True:
            try:
                while payment := await self._payments.claim():
                    await self._take_up(payment)
            except DATABASE_UNAVAILABLE as error:
                logger.warning("consumption waits for the database", error=type(error).__name__)
            except Exception:
                logger.exception("consumption failed")
            await asyncio.sleep(self._poll_seconds * random.uniform(0.8, 1.2))  # noqa: S311 - parts the processes

    async def _take_up(self, payment: OpenPayment) -> None:
        if await self._entries.find_by_payment(payment.id) is not None:
            await self._consume(payment, seconds=IN_BACKGROUND_SECONDS)
        elif utc_now() - payment.created_at > timedelta(seconds=UNCREDITED_SECONDS):
            await self._payments.remove(payment)
        else:
            await self._payments.set_due(payment, seconds=UNCREDITED_SECONDS)

    async def _consume(self, payment: OpenPayment, *, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._play.consume(payment.item)
        except (TimeoutError, PaymentProviderUnavailableError):
            wait = min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** min(payment.attempts, 10))
            logger.warning("consumption failed", payment_attempts=payment.attempts, again_in_seconds=wait)
            await self._payments.set_due(payment, seconds=wait)
        else:
            await self._payments.set_consumed(payment.id)
