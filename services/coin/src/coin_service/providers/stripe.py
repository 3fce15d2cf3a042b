"""Stripe's API, as far as finding out what became of a payment."""

import asyncio
import re
from collections.abc import Mapping
from typing import Annotated, Literal, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, Field

from coin_service.errors import PaymentNotFoundError, PaymentProviderUnavailableError
from coin_service.prices import Prices
from coin_service.providers import Payment, Purchase
from coin_service.providers.http import TransientError, is_refusal, parse, request_json, retrying
from common.logging import get_logger

logger = get_logger(__name__)

API_VERSION = "2026-10-28.endive"
"""Pinned: without it the shape of an answer is the account's setting."""

USER_ID_METADATA = "user_id"
COINS_METADATA = "coins"

_PAYMENT_ID = re.compile(r"(pi|ch|py|txn)_[A-Za-z0-9]{8,250}")
_CHARGE_ID = re.compile(r"(ch|py)_[A-Za-z0-9]{8,250}")

Minor = Annotated[int, Field(ge=0, le=10**12)]
"""An amount in the currency's smallest unit."""


class _Answer(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    id: str


class _Charge(_Answer):
    object: Literal["charge"]
    status: str
    paid: bool
    captured: bool
    refunded: bool
    disputed: bool
    amount_captured: Minor
    amount_refunded: Minor
    currency: str
    livemode: bool
    metadata: dict[str, str] = {}
    payment_intent: str | None = None

    @property
    def kept(self) -> bool:
        """The money is here, all of it."""
        arrived = self.status == "succeeded" and self.paid and self.captured
        return arrived and not self.refunded and not self.disputed and self.amount_refunded == 0


class _PaymentIntent(_Answer):
    object: Literal["payment_intent"]
    status: str
    amount_received: Minor
    currency: str
    livemode: bool
    metadata: dict[str, str] = {}
    latest_charge: _Charge | None


class _BalanceTransaction(_Answer):
    object: Literal["balance_transaction"]
    type: str
    source: str | None


AnswerT = TypeVar("AnswerT", bound=_Answer)


class StripeProvider:
    """Follows ``txn_`` to its charge and a charge to its PaymentIntent, which is what a payment is called here."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        prices: Prices,
        *,
        livemode: bool,
        total_seconds: float,
        configured: bool = True,
    ) -> None:
        self._client = client
        self._prices = prices
        self._livemode = livemode
        self._total_seconds = total_seconds
        self._configured = configured

    def known_as(self, purchase: Purchase) -> str:
        return _name(purchase.transaction_id)

    async def get_payment(self, purchase: Purchase) -> Payment:
        if not _PAYMENT_ID.fullmatch(purchase.transaction_id):
            raise PaymentNotFoundError
        if not self._configured:
            logger.error("stripe is not configured", variable="STRIPE_SECRET_KEY")
            raise PaymentProviderUnavailableError
        try:
            async with asyncio.timeout(self._total_seconds):
                return await self._follow(purchase)
        except TimeoutError as error:
            raise PaymentProviderUnavailableError from error

    async def _follow(self, purchase: Purchase) -> Payment:
        name = purchase.transaction_id
        if name.startswith("txn_"):
            transaction = await self._get(f"/v1/balance_transactions/{name}", name, _BalanceTransaction)
            # Refunds, payouts and fees are balance transactions too.
            if transaction.type not in ("charge", "payment") or not _CHARGE_ID.fullmatch(transaction.source or ""):
                raise PaymentNotFoundError
            name = str(transaction.source)
        if not name.startswith("pi_"):
            charge = await self._get(f"/v1/charges/{name}", name, _Charge)
            if charge.payment_intent is None:
                return self._payment(purchase, charge, charge.amount_captured, completed=charge.kept)
            name = charge.payment_intent
            if not _PAYMENT_ID.fullmatch(name) or not name.startswith("pi_"):
                raise PaymentProviderUnavailableError
        intent = await self._get(
            f"/v1/payment_intents/{name}", name, _PaymentIntent, parameters={"expand[]": "latest_charge"}
        )
        completed = intent.status == "succeeded"
        if completed and intent.latest_charge is None:
            # Whether it was refunded stands in the charge; without it nothing can be said.
            raise PaymentProviderUnavailableError
        kept = intent.latest_charge is not None and intent.latest_charge.kept
        return self._payment(purchase, intent, intent.amount_received, completed=completed and kept)

    def _payment(self, purchase: Purchase, paid: _PaymentIntent | _Charge, amount: int, *, completed: bool) -> Payment:
        if paid.livemode != self._livemode:
            # As Stripe itself answers when the key's mode is the other one.
            raise PaymentNotFoundError
        price = self._prices.price(purchase.coins)
        declared = paid.metadata.get(COINS_METADATA)
        return Payment(
            id=_name(paid.id),
            completed=completed,
            foreign=paid.metadata.get(USER_ID_METADATA, purchase.user_id) != purchase.user_id,
            matches=paid.currency == price.currency
            and amount >= price.amount
            and declared in (None, str(purchase.coins)),
        )

    async def _get(
        self, path: str, name: str, model: type[AnswerT], *, parameters: Mapping[str, str] | None = None
    ) -> AnswerT:
        async for attempt in retrying():
            with attempt:
                status, body = await request_json(self._client, "GET", path, params=parameters)
                if status >= 500 or status in (409, 424):
                    raise TransientError
                if status == 404 and is_refusal(body):
                    raise PaymentNotFoundError
                if status != 200:
                    # 401 and 403 are our key's fault: an operator has to act. 429 is not helped by asking again.
                    log = logger.error if status in (400, 401, 403) else logger.warning
                    log("stripe refused a lookup", status=status, object=model.__name__.strip("_"))
                    raise PaymentProviderUnavailableError
        answer = parse(model, body)
        if answer.id != name:
            raise PaymentProviderUnavailableError
        return answer


def _name(identifier: str) -> str:
    return f"stripe:{identifier.lower()}"
