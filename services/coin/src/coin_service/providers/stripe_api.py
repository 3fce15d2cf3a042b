"""Stripe's API, as far as it is used here: what is asked, and what an answer without success means."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Literal, TypeVar

import httpx

from coin_service.errors import AmountNotPayableError, PaymentNotFoundError, PaymentProviderUnavailableError
from coin_service.prices import Price
from coin_service.providers.http import TransientError, is_refusal, parse, request_json, retrying
from coin_service.providers.stripe_objects import (
    INTENT_ID,
    Answer,
    BalanceTransaction,
    Charge,
    Dispute,
    Disputes,
    NewPaymentIntent,
    Page,
    PaymentIntent,
    Refund,
)
from common.logging import get_logger

logger = get_logger(__name__)

API_VERSION = "2026-10-28.endive"
"""Pinned: without it the shape of an answer is the account's setting."""

LISTED = 100
"""Most objects of one page of a list."""

AnswerT = TypeVar("AnswerT", bound=Answer)


class StripeApi:
    """One account. Objects of the other mode, live or test, are not found, as Stripe itself answers."""

    def __init__(
        self, client: httpx.AsyncClient, *, livemode: bool, total_seconds: float, configured: bool = True
    ) -> None:
        self._client = client
        self._livemode = livemode
        self._total_seconds = total_seconds
        self._configured = configured

    @asynccontextmanager
    async def bounded(self) -> AsyncIterator[None]:
        """Bound all calls of one question.

        Raises:
            PaymentProviderUnavailableError: They took too long, or there is no key to ask with.
        """
        if not self._configured:
            logger.error("stripe is not configured", variable="STRIPE_SECRET_KEY")
            raise PaymentProviderUnavailableError
        try:
            async with asyncio.timeout(self._total_seconds):
                yield
        except TimeoutError as error:
            raise PaymentProviderUnavailableError from error

    async def charge(self, name: str) -> Charge:
        charge = await self._get(f"/v1/charges/{name}", name, Charge)
        self._check_mode(livemode=charge.livemode)
        return charge

    async def payment_intent(self, name: str) -> PaymentIntent:
        """Return an intent; one that succeeded has its charge, else nothing could be said of its refunds."""
        intent = await self._get(f"/v1/payment_intents/{name}", name, PaymentIntent, {"expand[]": "latest_charge"})
        self._check_mode(livemode=intent.livemode)
        if intent.status == "succeeded" and intent.latest_charge is None:
            raise PaymentProviderUnavailableError
        return intent

    async def balance_transaction(self, name: str) -> BalanceTransaction:
        return await self._get(f"/v1/balance_transactions/{name}", name, BalanceTransaction)

    async def new_payment_intent(self, name: str) -> NewPaymentIntent:
        """Return an intent with its secret."""
        return await self._get(f"/v1/payment_intents/{name}", name, NewPaymentIntent)

    async def create_payment_intent(self, price: Price, metadata: Mapping[str, str], *, key: str) -> NewPaymentIntent:
        """Make an intent; the same ``key`` again is the same one.

        Raises:
            AmountNotPayableError: So little, or so much, cannot be charged.
        """
        form = {"amount": str(price.amount), "currency": price.currency, "automatic_payment_methods[enabled]": "true"}
        form |= {f"metadata[{name}]": value for name, value in metadata.items()}
        body = await self._ask("POST", "/v1/payment_intents", data=form, headers={"Idempotency-Key": key})
        intent = parse(NewPaymentIntent, body)
        if not INTENT_ID.fullmatch(intent.id) or (intent.amount, intent.currency) != (price.amount, price.currency):
            raise PaymentProviderUnavailableError
        self._check_mode(livemode=intent.livemode)
        return intent

    async def disputes(self, charge: Charge) -> Disputes:
        """Ask what became of the disputes of a charge: ``Charge.disputed`` stays after one was won."""
        if not charge.disputed:
            return Disputes(took=False, undecided=False)
        try:
            page = parse(Page, await self._ask("GET", "/v1/disputes", params={"charge": charge.id}))
        except PaymentNotFoundError:
            return Disputes.of([])
        return Disputes.of([parse(Dispute, item).status for item in page.data])

    async def returned_since(self, kind: Literal["refunds", "disputes"], since: datetime) -> list[Refund]:
        """List the refunds, or the disputes, made since then, newest first; time is bounded by the page."""
        found: list[Refund] = []
        parameters = {"created[gte]": str(int(since.timestamp())), "limit": str(LISTED)}
        while True:
            async with self.bounded():
                page = parse(Page, await self._ask("GET", f"/v1/{kind}", params=parameters))
            found += [parse(Refund, item) for item in page.data]
            if not page.has_more or not page.data:
                return found
            parameters = {**parameters, "starting_after": found[-1].id}

    async def _get(
        self, path: str, name: str, model: type[AnswerT], parameters: Mapping[str, str] | None = None
    ) -> AnswerT:
        answer = parse(model, await self._ask("GET", path, params=parameters))
        if answer.id != name:
            raise PaymentProviderUnavailableError
        return answer

    async def _ask(self, method: str, path: str, **arguments: Any) -> Any:
        """Return a successful answer; may be repeated, as is a write under its key."""
        async for attempt in retrying():
            with attempt:
                status, body = await request_json(self._client, method, path, **arguments)
                if status >= 500 or status in (409, 424):
                    raise TransientError
        if status == 404 and is_refusal(body):
            raise PaymentNotFoundError
        if status == 400 and is_refusal(body) and body["error"].get("code") in ("amount_too_small", "amount_too_large"):
            raise AmountNotPayableError
        if status != 200:
            # 401 and 403 are our key's fault: an operator has to act. 429 is not helped by asking again.
            log = logger.error if status in (400, 401, 403) else logger.warning
            log("stripe refused a call", status=status, method=method, object=path.split("/")[2])
            raise PaymentProviderUnavailableError
        return body

    def _check_mode(self, *, livemode: bool) -> None:
        if livemode != self._livemode:
            raise PaymentNotFoundError
