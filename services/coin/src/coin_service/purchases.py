"""Coins for money: the vendor's word counts, and each payment counts once."""

from collections.abc import Mapping
from dataclasses import dataclass

from coin_service.consumption import ConsumptionService
from coin_service.errors import AmountMismatchError, PaymentAlreadyUsedError, PaymentNotCompletedError
from coin_service.ledger import Ledger, Moved, Request
from coin_service.models import Draft, Entry
from coin_service.payments import PaymentStore
from coin_service.promises import Promises
from coin_service.providers import Payment, PaymentMethod, PaymentProvider, Purchase
from common.logging import get_logger

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Receipt:
    """The entry that credited a payment, and what can be spent."""

    entry: Entry
    balance: int
    replayed: bool
    """The answer to this very request was given before."""


class PurchaseService:
    """Looks a payment up, credits it once, and has it consumed where the vendor wants that."""

    def __init__(
        self,
        ledger: Ledger,
        providers: Mapping[PaymentMethod, PaymentProvider],
        promises: Promises,
        payments: PaymentStore,
        consumption: ConsumptionService,
    ) -> None:
        self._ledger = ledger
        self._providers = providers
        self._promises = promises
        self._payments = payments
        self._consumption = consumption

    async def buy(self, purchase: Purchase, *, method: PaymentMethod, request: Request) -> Receipt:
        """Credit the coins of a payment.

        The same payment again by the same user is the first entry again, whatever became of the payment since.

        Raises:
            PaymentNotFoundError: The vendor knows no such payment.
            PaymentNotCompletedError: No money arrived, or it went back.
            PaymentAlreadyUsedError: It is another user's.
            AmountMismatchError: It pays for another number of coins.
            PaymentProviderUnavailableError: The vendor gave no usable answer; nothing was credited.
            IdempotencyKeyReusedError: The key belongs to another request.
        """
        store, provider = self._ledger.store, self._providers[method]
        await self._ledger.last(purchase.user_id)  # before a vendor is asked: is there such a user?
        if done := request.check(await store.find_by_key(request.key)):
            return await self._answer(done, replayed=True)
        if known := await store.find_by_payment(provider.known_as(purchase)):
            return await self._repeat(known, purchase, request)
        payment = await provider.get_payment(purchase)
        if known := await store.find_by_payment(payment.id):
            return await self._repeat(known, purchase, request)
        moved = await self._credit(purchase, method, payment, request)
        if moved.entry.key != request.key:
            return await self._repeat(moved.entry, purchase, request)
        await self._settle(moved.entry)
        return await self._answer(moved.entry, replayed=moved.replayed)

    async def _credit(self, purchase: Purchase, method: PaymentMethod, payment: Payment, request: Request) -> Moved:
        if payment.foreign:
            raise PaymentAlreadyUsedError
        if not payment.completed:
            raise PaymentNotCompletedError
        if not payment.matches or not await self._pays(payment, purchase):
            raise AmountMismatchError
        if payment.item is not None:
            await self._payments.add(payment, payment.item)

        def credit(_: Entry) -> Draft:
            return Draft(
                kind="credit",
                type="buy",
                key=request.key,
                amount=purchase.coins,
                payment_method=method,
                transaction_id=purchase.transaction_id,
                payment_id=payment.id,
                fingerprint=request.fingerprint,
            )

        async def find_done() -> Entry | None:
            done = request.check(await self._ledger.store.find_by_key(request.key))
            return done or await self._ledger.store.find_by_payment(payment.id)

        moved = await self._ledger.move(purchase.user_id, credit, find_done)
        if not moved.replayed:
            logger.info("payment credited", user_id=purchase.user_id, coins=purchase.coins, entry_id=moved.entry.id)
        return moved

    async def _pays(self, payment: Payment, purchase: Purchase) -> bool:
        """Whether it is worth the coins; what the vendor's own product costs is not asked."""
        if payment.paid is None:
            return True
        price = await self._promises.price(payment.transaction_id, user_id=purchase.user_id, coins=purchase.coins)
        return price is not None and payment.paid.currency == price.currency and payment.paid.amount >= price.amount

    async def _repeat(self, first: Entry, purchase: Purchase, request: Request) -> Receipt:
        """Answer a payment that was credited before; under a key of its own the answer is kept, as any other is."""
        if first.user_id != purchase.user_id:
            raise PaymentAlreadyUsedError
        if first.bought != purchase.coins:
            raise AmountMismatchError
        if first.type is None:
            # The money was back before the coins were given; then only what was given again counts.
            given = await self._ledger.store.find_adjustment(str(first.payment_id), credit=True)
            if given is None:
                raise PaymentNotCompletedError
            first = given
        await self._settle(first)
        if request.fingerprint is None:
            return Receipt(first, (await self._ledger.last(first.user_id)).spendable, replayed=False)

        def note(_: Entry) -> Draft:
            return Draft(kind="note", key=request.key, amount=0, reference=first.id, fingerprint=request.fingerprint)

        async def find_done() -> Entry | None:
            return request.check(await self._ledger.store.find_by_key(request.key))

        moved = await self._ledger.move(first.user_id, note, find_done)
        return await self._answer(moved.entry, replayed=moved.replayed)

    async def _answer(self, entry: Entry, *, replayed: bool) -> Receipt:
        first = await self._ledger.store.find(entry.reference) if entry.kind == "note" and entry.reference else None
        return Receipt(first or entry, entry.spendable, replayed)

    async def _settle(self, entry: Entry) -> None:
        """Have a Play product consumed."""
        if entry.payment_method == "google_play" and entry.payment_id is not None:
            await self._consumption.settle(entry.payment_id)
