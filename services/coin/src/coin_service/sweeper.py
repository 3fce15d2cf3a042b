"""Ask Stripe for what no webhook told us: payments that were not credited, money that went back or came again."""

import asyncio
import random
from datetime import datetime, timedelta
from typing import Literal

from coin_service.checkouts import Checkout, CheckoutStore
from coin_service.errors import PaymentNotFoundError
from coin_service.inbox_worker import PostponedError, UnusableMessageError
from coin_service.providers.stripe_api import StripeApi
from coin_service.returns import Return, ReturnStore
from coin_service.settlement import CLAIM_SECONDS
from coin_service.stripe_events import StripeEvents
from common.clock import utc_now
from common.duties import DutyLostError, DutyStore
from common.errors import ServiceError
from common.logging import get_logger
from common.mongo import DATABASE_UNAVAILABLE

logger = get_logger(__name__)

MAX_POLL_SECONDS = 30.0
LEASE_SECONDS = 300.0
MAX_PAUSE_SECONDS = 6 * 3600.0
GIVE_UP_SECONDS = 7 * 86_400.0
"""A checkout that nobody has paid by then is not looked at any more; the webhook of a late payment still counts."""

FIRST_LOOK_BACK_SECONDS = 30 * 86_400.0
HORIZON_SECONDS = 120 * 86_400.0
"""So long after the last news a payment that went back is looked at again, as its refund may fail. A dispute takes two
to three months; one that is open is looked at until it is decided."""

MAX_RETURN_PAUSE_SECONDS = 86_400.0
RETURNS_PER_ROUND = 100
"""More of them wait for the next round, so that they do not keep Stripe, or the lists, waiting."""

OVERLAP_SECONDS = 3600.0
"""Each look begins so long before the last one: lists may be late, and clocks differ."""

_TRANSIENT: tuple[type[Exception], ...] = (ServiceError, PostponedError, TimeoutError)


class StripeSweeper:
    """Open checkouts and what went back one by one, new refunds and disputes as lists.

    Leased, so that several processes share the work.
    """

    def __init__(
        self,
        duties: DutyStore,
        checkouts: CheckoutStore,
        api: StripeApi,
        returns: ReturnStore,
        events: StripeEvents,
        *,
        interval_seconds: float,
    ) -> None:
        self._duties = duties
        self._checkouts = checkouts
        self._api = api
        self._returns = returns
        self._events = events
        self._interval_seconds = interval_seconds

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            pause = min(self._interval_seconds, MAX_POLL_SECONDS)
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 - parts the processes
            for step in (self.sweep_checkouts, self.sweep_refunds, self.sweep_disputes, self.sweep_returns):
                try:
                    await step()
                except DutyLostError:
                    logger.warning("sweep was taken over", work=step.__name__)
                except ServiceError as error:
                    logger.warning("sweep waits for stripe", work=step.__name__, error=type(error).__name__)
                except DATABASE_UNAVAILABLE as error:
                    logger.warning("sweep waits for the database", work=step.__name__, error=type(error).__name__)
                except Exception:
                    logger.exception("sweep failed", work=step.__name__)

    async def sweep_checkouts(self) -> None:
        """Look at each checkout that is due until it is credited, or nobody is going to pay it."""
        while checkout := await self._checkouts.claim():
            await self._look_at(checkout)

    async def sweep_refunds(self) -> None:
        """Bring every payment up to date of which a refund was made since the last look."""
        await self._sweep("stripe_refunds", "refunds")

    async def sweep_disputes(self) -> None:
        """The same for disputes."""
        await self._sweep("stripe_disputes", "disputes")

    async def sweep_returns(self) -> None:
        """Look again at payments of which money went back, or may: no list of new refunds and disputes has them."""
        for _ in range(RETURNS_PER_ROUND):
            payment = await self._returns.claim()
            if payment is None:
                return
            await self._look_again(payment)

    async def _look_at(self, checkout: Checkout) -> None:
        age = (utc_now() - checkout.created_at).total_seconds()
        try:
            credited = await self._events.settle(str(checkout.transaction_id))
        except (PaymentNotFoundError, UnusableMessageError) as error:
            logger.error("checkout cannot be settled", transaction_id=checkout.transaction_id, error=str(error))
            credited = None
        except _TRANSIENT as error:
            logger.warning("checkout is looked at later", checkout_id=checkout.id, error=type(error).__name__)
            credited = None
        if credited is not None:
            await self._checkouts.set_credited(checkout)
        elif age > GIVE_UP_SECONDS:
            await self._checkouts.set_closed(checkout)
        else:
            pause = min(MAX_PAUSE_SECONDS, self._interval_seconds * 2 ** min(checkout.attempts, 20))
            await self._checkouts.set_due(checkout, seconds=pause)

    async def _look_again(self, payment: Return) -> None:
        age = (utc_now() - payment.noted_at).total_seconds()
        is_over = not payment.undecided and (not payment.returned or age > HORIZON_SECONDS)
        try:
            await self._events.settle(payment.id)
        except UnusableMessageError as error:
            logger.error("returned payment cannot be settled", transaction_id=payment.id, error=str(error))
            is_over = True
        except PostponedError:
            is_over = age > CLAIM_SECONDS  # nobody has claimed it; whoever does is asked whether it was returned
        except PaymentNotFoundError:
            logger.error("returned payment is not known at stripe", transaction_id=payment.id)
            is_over = age > HORIZON_SECONDS
        except _TRANSIENT as error:
            logger.warning("returned payment is looked at later", transaction_id=payment.id, error=type(error).__name__)
            is_over = False
        if is_over:
            await self._returns.remove(payment)
        else:
            pause = min(MAX_RETURN_PAUSE_SECONDS, self._interval_seconds * 2 ** min(payment.looks, 20))
            await self._returns.set_due(payment, seconds=pause)

    async def _sweep(self, duty_name: str, kind: Literal["refunds", "disputes"]) -> None:
        duty = await self._duties.claim(duty_name, lease_seconds=LEASE_SECONDS)
        if duty is None:
            return
        began = utc_now()
        since: datetime = duty.result.get("until") or began - timedelta(seconds=FIRST_LOOK_BACK_SECONDS)
        failed = 0
        try:
            found = await self._api.returned_since(kind, since)
        except ServiceError:
            await self._duties.finish(duty, duty.result, again_seconds=self._interval_seconds)
            raise
        names = {each.payment_intent or each.charge for each in found} - {None}
        for name in names:
            try:
                await self._events.settle(str(name))
            except (PaymentNotFoundError, UnusableMessageError) as error:
                logger.error("returned payment cannot be settled", transaction_id=name, error=str(error))
            except PostponedError:
                continue  # nobody has claimed it; whoever does is asked whether it was returned
            except _TRANSIENT as error:
                failed += 1
                logger.warning("returned payment is looked at later", transaction_id=name, error=type(error).__name__)
            await self._duties.renew(duty, lease_seconds=LEASE_SECONDS)
        # What failed is in the next look too: it begins where this one did.
        until = since if failed else began - timedelta(seconds=OVERLAP_SECONDS)
        await self._duties.finish(duty, {"until": until, "found": len(names)}, again_seconds=self._interval_seconds)
