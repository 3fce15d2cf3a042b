"""Google Play's one-time products: look a purchase up, and consume it."""

import asyncio
import hashlib
from collections.abc import Awaitable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

import httpx

from coin_service.errors import PaymentNotFoundError, PaymentProviderUnavailableError
from coin_service.providers import Payment, PlayItem, Purchase, Standing
from coin_service.providers.google_wire import (
    CANCELED,
    CONSUMED,
    PURCHASED,
    TEST_PURCHASE,
    ProductPurchase,
    VoidedPage,
)
from coin_service.providers.http import TransientError, is_refusal, parse, request_json, retrying
from common.errors import ValidationFailedError
from common.google import GoogleAuthUnavailableError, GoogleCredentials
from common.http import path_segment
from common.logging import get_logger

logger = get_logger(__name__)

_GONE = (404, 410)

ResultT = TypeVar("ResultT")


class GooglePlayProvider:
    """Purchases of one app; a purchase token is the payment's name."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        credentials: GoogleCredentials | None,
        *,
        package: str | None,
        products: Mapping[str, int],
        accepts_test_purchases: bool,
        total_seconds: float,
    ) -> None:
        self._client = client
        self._credentials = credentials
        self._package = package
        self._products = products
        self._accepts_test_purchases = accepts_test_purchases
        self._total_seconds = total_seconds

    def known_as(self, purchase: Purchase) -> str:
        return token_name(purchase.transaction_id)

    async def get_payment(self, purchase: Purchase) -> Payment:
        if purchase.product_id is None:
            raise ValidationFailedError.of("productId", "is required for google_play")
        coins = self._products.get(purchase.product_id)
        if coins is None:
            raise ValidationFailedError.of("productId", "is not a product of this app")
        if not purchase.transaction_id.strip("."):
            raise PaymentNotFoundError  # such a path segment would lead elsewhere
        item = PlayItem(purchase.product_id, purchase.transaction_id)
        found = await self._get(item)
        if found.product_id not in (None, item.product_id):
            raise PaymentNotFoundError
        test = found.purchase_type == TEST_PURCHASE
        returned = found.refundable_quantity is not None and found.refundable_quantity < found.quantity
        return Payment(
            id=self.known_as(purchase),
            completed=found.purchase_state == PURCHASED and not returned and (self._accepts_test_purchases or not test),
            foreign=found.account_id is not None and found.account_id.lower() not in account_ids(purchase.user_id),
            matches=coins * found.quantity == purchase.coins,
            transaction_id=item.token,
            item=replace(item, quantity=found.quantity),
        )

    async def consume(self, item: PlayItem) -> None:
        """Let the product be bought again; fulfils the acknowledgement that Google wants within three days too.

        Returns when there is nothing left to consume, for whatever reason.

        Raises:
            PaymentProviderUnavailableError: To be tried again later.
        """
        status, body = await self._bounded(self._ask("POST", f"{self._path(item)}:consume", json={}))
        if 200 <= status < 300 or (status in _GONE and is_refusal(body)):
            return
        # Refused, perhaps because an earlier attempt came through whose answer was lost.
        try:
            found = await self._get(item)
        except PaymentNotFoundError:
            return
        if found.purchase_state == PURCHASED and found.consumption_state != CONSUMED:
            raise PaymentProviderUnavailableError

    async def voided_since(self, since: datetime) -> dict[str, int | None]:
        """List one-time purchases that were voided since then, at most 30 days ago.

        Returns:
            By purchase token, how many of its items went back at least; ``None`` if all of it did. Whether a second
            partial refund is listed with its own items or with all so far, Google does not say: the greater number is
            true either way.

        Raises:
            PaymentProviderUnavailableError: Nothing is known.
        """
        found: dict[str, int | None] = {}
        # Without the second one, purchases of which only some items went back are not listed.
        parameters = {"startTime": str(int(since.timestamp() * 1000)), "includeQuantityBasedPartialRefund": "true"}
        while True:
            status, body = await self._bounded(self._ask("GET", self._voided_path, params=parameters))
            if status != 200:
                raise PaymentProviderUnavailableError
            page = parse(VoidedPage, body)
            for voided in page.purchases:
                before = found.get(voided.token, 0)
                whole = before is None or voided.quantity is None
                found[voided.token] = None if whole else max(before or 0, voided.quantity or 0)
            if not page.pagination.next_token:
                return found
            parameters["token"] = page.pagination.next_token

    async def standing(self, item: PlayItem) -> Standing:
        """Ask how many items of a purchase went back.

        Raises:
            PaymentNotFoundError: Google does not know it any more.
            PaymentProviderUnavailableError: Nothing is known.
        """
        found = await self._get(item)
        left = found.quantity if found.refundable_quantity is None else found.refundable_quantity
        returned = found.quantity if found.purchase_state == CANCELED else max(0, found.quantity - left)
        return Standing(item.token, completed=True, paid=found.quantity, returned=returned, returned_for_good=True)

    async def _get(self, item: PlayItem) -> ProductPurchase:
        async def ask() -> Any:
            async for attempt in retrying():
                with attempt:
                    status, body = await self._ask("GET", self._path(item))
                    if status >= 500 or status == 409:
                        raise TransientError
            # 400 is "often a malformed or invalid purchase token".
            if status in (400, *_GONE) and is_refusal(body):
                raise PaymentNotFoundError
            if status != 200:
                raise PaymentProviderUnavailableError
            return body

        return parse(ProductPurchase, await self._bounded(ask()))

    async def _ask(self, method: str, path: str, **arguments: Any) -> tuple[int, Any]:
        if self._credentials is None or self._package is None:
            logger.error("google play is not configured", need="GOOGLE_APPLICATION_CREDENTIALS, GOOGLE_PLAY_PACKAGES")
            raise PaymentProviderUnavailableError
        status, body = 0, None
        for _ in range(2):  # a token may be withdrawn before its time; with a 401 nothing was done
            try:
                token = await self._credentials.access_token()
            except GoogleAuthUnavailableError as error:
                raise PaymentProviderUnavailableError from error
            headers = {"Authorization": f"Bearer {token}"}
            status, body = await request_json(self._client, method, path, headers=headers, **arguments)
            if status != 401:
                break
            self._credentials.forget(token)
        if status in (401, 403):
            logger.error("google play refused our service account", status=status)
        return status, body

    async def _bounded(self, work: Awaitable[ResultT]) -> ResultT:
        try:
            async with asyncio.timeout(self._total_seconds):
                return await work
        except TimeoutError as error:
            raise PaymentProviderUnavailableError from error

    @property
    def _voided_path(self) -> str:
        return f"/androidpublisher/v3/applications/{path_segment(self._package or '')}/purchases/voidedpurchases"

    def _path(self, item: PlayItem) -> str:
        segments = [path_segment(part) for part in (self._package or "", item.product_id, item.token)]
        return "/androidpublisher/v3/applications/{}/purchases/products/{}/tokens/{}".format(*segments)


def token_name(token: str) -> str:
    """Return the ``payment_id`` of a purchase."""
    return f"google_play:{token.lower()}"


def account_ids(user_id: str) -> frozenset[str]:
    """What the app may have passed as ``obfuscatedAccountId``: the user's id, or its SHA-256 in hex."""
    return frozenset({user_id, hashlib.sha256(user_id.encode()).hexdigest()})
