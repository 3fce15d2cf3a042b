"""Bring what the vendor says of a payment into the wallet: its coins once, less those whose money went back."""

import asyncio
import random
import re
from collections.abc import Awaitable, Callable

from coin_service.inbox_worker import PostponedError, UnusableMessageError
from coin_service.ledger import Ledger
from coin_service.models import Draft, Entry
from coin_service.promises import Promises
from coin_service.providers import PaymentMethod, Standing
from common.clients.auth import AccountNotFoundError
from common.errors import ServiceUnavailableError
from common.logging import get_logger
from common.schemas import MAX_COINS, is_object_id

logger = get_logger(__name__)

TRIES = 10
MAX_PAUSE_SECONDS = 0.5
CLAIM_SECONDS = 60.0
"""Longer than an app's claim takes: a payment that it may just be claiming is looked at again after that."""

_COINS = re.compile(r"[1-9][0-9]{0,6}")

Look = Callable[[], Awaitable[Standing]]
"""Asks the vendor how a payment stands."""


class SettlementService:
    """Every call may be repeated, by several processes at once, with news that came in any order.

    The ledger is read before the vendor is, and the entry that follows is keyed by the payment's entry before it: of
    two at once one gets in, the other reads all again. So no entry stands on older news than the one before it.
    """

    def __init__(self, ledger: Ledger, promises: Promises) -> None:
        self._ledger = ledger
        self._promises = promises

    async def settle(self, payment_id: str, method: PaymentMethod, look: Look) -> Entry | None:
        """Credit a payment that was not, take back what was returned, or give it again; return its first entry.

        Raises:
            PaymentNotFoundError: The vendor does not know it.
            PaymentProviderUnavailableError: Nothing is known, nothing was changed.
            PostponedError: Whose it is will be known once the app has claimed it.
            UnusableMessageError: It was paid, but is nobody's or of another price: for an operator.
        """
        store = self._ledger.store
        for attempt in range(TRIES):
            first = await store.find_by_payment(payment_id)
            latest = await store.find_adjustment(payment_id) or first
            standing = await look()
            try:
                if first is not None and latest is not None:
                    settled = await self._adjust(first, latest, standing)
                else:
                    settled = await self._credit(payment_id, method, standing)
            except AccountNotFoundError as error:
                raise UnusableMessageError("account_not_found") from error
            if settled:
                return first or await store.find_by_payment(payment_id)
            await asyncio.sleep(random.uniform(0, min(MAX_PAUSE_SECONDS, 0.01 * 2**attempt)))  # noqa: S311 - jitter
        raise ServiceUnavailableError

    async def _adjust(self, first: Entry, latest: Entry, standing: Standing) -> bool:
        """Make up the difference; ``False`` if another process just did, perhaps on older news."""
        payment_id, target = str(first.payment_id), standing.coins_back(first.bought)
        difference = target - (latest.taken_back or 0)
        if not difference or not standing.completed or (difference < 0 and standing.returned_for_good):
            return True
        key = f"{payment_id}:after:{latest.seq}"

        def adjust(last: Entry) -> Draft:
            taken = max(0, min(difference, last.balance))
            return Draft(
                kind="debit" if difference > 0 else "credit",
                type="refund" if difference < 0 else "clawback" if taken else None,
                key=key,
                amount=taken if difference > 0 else -difference,
                debt_change=max(0, difference - taken),
                payment_method=first.payment_method,
                transaction_id=first.transaction_id,
                adjusts=payment_id,
                taken_back=target,
                reason="Payment returned" if difference > 0 else "Payment received again",
            )

        async def find_done() -> Entry | None:
            return await self._ledger.store.find_by_key(key)

        moved = await self._ledger.move(first.user_id, adjust, find_done)
        if not moved.replayed:
            entry = moved.entry
            logger.info(
                "payment adjusted", payment_id=payment_id, coins=-difference, debt=entry.debt, entry_id=entry.id
            )
        return not moved.replayed

    async def _credit(self, payment_id: str, method: PaymentMethod, standing: Standing) -> bool:
        """Credit what of it has not gone back; if that is nothing, note that it must not be credited any more."""
        if not standing.completed:
            return True
        if standing.user_id is None or standing.coins is None:
            if standing.returned:
                raise PostponedError(seconds=CLAIM_SECONDS)
            return True  # not made by a checkout: the app says whose it is
        coins = await self._declared(standing, standing.user_id, standing.coins)
        back = standing.coins_back(coins)

        def credit(_: Entry) -> Draft:
            return Draft(
                kind="credit" if coins > back else "note",
                type="buy" if coins > back else None,
                key=f"payment:{payment_id}",
                amount=coins - back,
                payment_method=method,
                transaction_id=standing.transaction_id,
                payment_id=payment_id,
                taken_back=back or None,
            )

        async def find_done() -> Entry | None:
            return await self._ledger.store.find_by_payment(payment_id)

        moved = await self._ledger.move(standing.user_id, credit, find_done)
        if not moved.replayed:
            logger.info("payment credited", payment_id=payment_id, coins=coins - back, entry_id=moved.entry.id)
        return not moved.replayed

    async def _declared(self, standing: Standing, user_id: str, declared: str) -> int:
        if not is_object_id(user_id) or not _COINS.fullmatch(declared):
            raise UnusableMessageError("metadata_invalid")
        coins = int(declared)
        price = await self._promises.price(standing.transaction_id, user_id=user_id, coins=coins)
        if price is None:
            raise UnusableMessageError("metadata_mismatch")
        if coins > MAX_COINS or standing.currency != price.currency or standing.paid < price.amount:
            raise UnusableMessageError("amount_mismatch")
        return coins
