"""Purchases at Google Play whose money went back: refunded, charged back, revoked."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from coin_service.errors import PaymentNotFoundError
from coin_service.inbox_worker import PostponedError
from coin_service.payments import PaymentStore
from coin_service.providers import Standing
from coin_service.providers.google_play import GooglePlayProvider, token_name
from coin_service.settlement import SettlementService
from common.clock import utc_now
from common.duties import DutyLostError, DutyStore
from common.errors import ServiceError
from common.logging import get_logger
from common.mongo import DATABASE_UNAVAILABLE

logger = get_logger(__name__)

DUTY = "play_voids"
MAX_POLL_SECONDS = 30.0
LEASE_SECONDS = 300.0
LIST_SECONDS = 29 * 86_400.0
"""Google's list holds 30 days."""

OVERLAP_SECONDS = 86_400.0
"""Each look begins so long before the last one: the list may be late."""


class PlayVoids:
    """Google's list of voided purchases is the truth; what is said there is never taken back."""

    def __init__(
        self,
        duties: DutyStore,
        payments: PaymentStore,
        play: GooglePlayProvider,
        settlement: SettlementService,
        *,
        interval_seconds: float,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._duties = duties
        self._payments = payments
        self._play = play
        self._settlement = settlement
        self._interval_seconds = interval_seconds
        self._now = now

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            pause = min(self._interval_seconds, MAX_POLL_SECONDS)
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 - parts the processes
            try:
                await self.sweep()
            except DutyLostError:
                logger.warning("look at voided purchases was taken over")
            except ServiceError as error:
                logger.warning("look at voided purchases waits for google", error=error.code)
            except DATABASE_UNAVAILABLE as error:
                logger.warning("look at voided purchases waits for the database", error=type(error).__name__)
            except Exception:
                logger.exception("look at voided purchases failed")

    async def sweep(self) -> None:
        """Take back what was voided since the last look, if it is due and no other process does.

        Raises:
            ServiceError: Google gave no list; the next look begins where this one did.
        """
        duty = await self._duties.claim(DUTY, lease_seconds=LEASE_SECONDS)
        if duty is None:
            return
        began = self._now()
        oldest = began - timedelta(seconds=LIST_SECONDS)
        since: datetime = max(oldest, duty.result.get("until", oldest))
        try:
            found, failed = await self._play.voided_since(since), 0
        except ServiceError:
            await self._duties.finish(duty, duty.result, again_seconds=self._interval_seconds)
            raise
        for token, quantity in found.items():
            try:
                await self.take_back(token, quantity)
            except ServiceError as error:
                failed += 1
                logger.warning("voided purchase is looked at later", payment_id=token_name(token), error=error.code)
            await self._duties.renew(duty, lease_seconds=LEASE_SECONDS)
        # What failed is in the next look too: it begins where this one did.
        until = since if failed else began - timedelta(seconds=OVERLAP_SECONDS)
        await self._duties.finish(duty, {"until": until, "found": len(found)}, again_seconds=self._interval_seconds)

    async def voided_since(self, since: datetime) -> dict[str, int | None]:
        """Return the purchase tokens on Google's list, and how many items of each are void; ``None`` for all.

        Raises:
            PaymentProviderUnavailableError: Nothing is known.
        """
        return await self._play.voided_since(since)

    async def take_back(self, token: str, quantity: int | None) -> None:
        """Take back the coins of ``quantity`` items of a voided purchase, of more if Google says so now, or of all."""
        payment_id = token_name(token)
        item = await self._payments.find_item(payment_id)
        if item is None:
            return  # never credited here; Google tells whoever claims it now

        async def look() -> Standing:
            if quantity is None:
                return Standing(item.token, completed=True, paid=1, returned=1, returned_for_good=True)
            try:
                found = await self._play.standing(item)
            except PaymentNotFoundError:
                # That Google does not show it any more proves nothing; the list does, of so many items.
                bought = item.quantity or 0
                found = Standing(item.token, completed=bought > 0, paid=bought, returned=0, returned_for_good=True)
                logger.warning(
                    "voided purchase is not shown any more", payment_id=payment_id, items=quantity, of=bought
                )
            return replace(found, returned=min(found.paid, max(found.returned, quantity)))

        # Uncredited and without a user it is left alone: a claim that is just on its way is seen in the next look.
        with suppress(PostponedError):
            await self._settlement.settle(payment_id, "google_play", look)
