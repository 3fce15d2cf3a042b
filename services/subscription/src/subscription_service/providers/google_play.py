"""Ask Google Play about subscription purchases, and acknowledge them (Android Publisher v3)."""

import asyncio
from http import HTTPStatus
from pathlib import Path

import httpx
from pydantic import ValidationError
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from common.errors import ServiceError
from common.google import (
    ANDROID_PUBLISHER_SCOPE,
    GoogleAuthUnavailableError,
    GoogleCredentials,
    GoogleCredentialsError,
)
from common.http import BodyTooLargeError, path_segment, read_capped
from common.logging import get_logger
from subscription_service.errors import (
    GooglePlayFailedError,
    GooglePlayNotConfiguredError,
    GooglePlayUnavailableError,
    ProductMismatchError,
    PurchaseExpiredError,
    PurchaseNotFoundError,
)
from subscription_service.models import Purchase
from subscription_service.providers.google_wire import ErrorEnvelope, SubscriptionPurchaseV2

logger = get_logger(__name__)

ATTEMPTS = 3
ACKNOWLEDGE_TIMEOUT_SECONDS = 2.5
MAX_ANSWER_BYTES = 256 * 1024

_OPERATOR_WORDS = frozenset({"applicationNotFound", "accessNotConfigured"})
"""Google does not know the app, or the API is switched off: nothing a user's purchase token could cause."""


class _PassingTroubleError(GooglePlayUnavailableError):
    """Worth another try at once."""


class GooglePlay:
    """Google's word on purchases; reads and acknowledgements alike may be repeated."""

    def __init__(self, http: httpx.AsyncClient, key_file: Path | None, *, timeout_seconds: float) -> None:
        self._http = http
        self._key_file = key_file
        self._timeout_seconds = timeout_seconds
        self._loaded: GoogleCredentials | None = None

    async def find_purchase(self, package_name: str, purchase_token: str) -> Purchase:
        """Read a subscription purchase.

        Raises:
            PurchaseNotFoundError: Google does not know the token.
            PurchaseExpiredError: It did once, and the purchase is over.
            ProductMismatchError: The token is of another app or of a one-time product.
            GooglePlayUnavailableError: Google cannot be asked, or gives no answer that can be used.
        """
        if not purchase_token.strip("."):
            raise PurchaseNotFoundError  # "." and ".." would leave their place in the path, however encoded
        path = f"{_purchases(package_name)}/subscriptionsv2/tokens/{path_segment(purchase_token)}"
        body = await self._ask("GET", path, timeout_seconds=self._timeout_seconds)
        try:
            return SubscriptionPurchaseV2.model_validate_json(body).to_purchase()
        except ValueError as error:  # pydantic's too
            logger.error("google play answered what cannot be read", problem=_problem(error))
            raise GooglePlayFailedError from None  # a cause would be logged, and quotes the answer

    async def acknowledge(self, package_name: str, product_id: str, purchase_token: str) -> None:
        """Tell Google that the purchase was delivered, within three days of its payment, or it refunds it.

        Raises:
            ServiceError: It did not work, or may not have.
        """
        path = (
            f"{_purchases(package_name)}/subscriptions/{path_segment(product_id)}"
            f"/tokens/{path_segment(purchase_token)}:acknowledge"
        )
        await self._ask("POST", path, timeout_seconds=min(ACKNOWLEDGE_TIMEOUT_SECONDS, self._timeout_seconds))

    def close(self) -> None:
        if self._loaded is not None:
            self._loaded.close()

    def _credentials(self) -> GoogleCredentials:
        # At the first call and not at the start: whatever writes the file may start at the same time.
        if self._loaded is None:
            if self._key_file is None:
                raise GooglePlayNotConfiguredError
            try:
                self._loaded = GoogleCredentials.from_file(self._key_file, [ANDROID_PUBLISHER_SCOPE])
            except GoogleCredentialsError as error:
                logger.error("google play credentials cannot be used", problem=str(error))
                raise GooglePlayNotConfiguredError from error
        return self._loaded

    async def _ask(self, method: str, path: str, *, timeout_seconds: float) -> bytes:
        retrying = AsyncRetrying(
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.1, max=1.0),
            retry=retry_if_exception_type(_PassingTroubleError),
            reraise=True,
        )
        try:
            async with asyncio.timeout(timeout_seconds):
                async for attempt in retrying:
                    with attempt:
                        return await self._send(method, path, first=attempt.retry_state.attempt_number == 1)
        except TimeoutError as error:
            raise GooglePlayUnavailableError from error
        raise AssertionError("unreachable")  # the last attempt returns or raises

    async def _send(self, method: str, path: str, *, first: bool) -> bytes:
        credentials = self._credentials()
        try:
            access_token = await credentials.access_token()
        except GoogleAuthUnavailableError as error:
            raise GooglePlayUnavailableError from error
        headers = {"Authorization": f"Bearer {access_token}"}
        try:
            async with self._http.stream(
                method, path, headers=headers, json={} if method == "POST" else None
            ) as response:
                body = await read_capped(response, MAX_ANSWER_BYTES)
        except httpx.HTTPError as error:
            raise _PassingTroubleError from error
        except BodyTooLargeError as error:
            logger.error("google play answered too much", status=response.status_code)
            raise GooglePlayFailedError from error
        if response.is_success:
            return body
        if response.status_code == HTTPStatus.UNAUTHORIZED and first:
            credentials.forget(access_token)
            raise _PassingTroubleError
        raise _refusal(response.status_code, body)


def _purchases(package_name: str) -> str:
    return f"/androidpublisher/v3/applications/{path_segment(package_name)}/purchases"


def _refusal(status: int, body: bytes) -> ServiceError:
    """Say what a failure means; only what Google says in its own form counts as evidence against a purchase."""
    if status in (HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS) or status >= 500:
        logger.warning("google play does not answer now", status=status)
        return _PassingTroubleError()
    try:
        words = ErrorEnvelope.model_validate_json(body).words
    except ValidationError:
        logger.error("google play answered what cannot be read", status=status)
        return GooglePlayFailedError()
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) or words & _OPERATOR_WORDS:
        logger.error(
            "google play refuses our service account or app: see the Play Console", status=status, words=sorted(words)
        )
        return GooglePlayUnavailableError()
    if status == HTTPStatus.GONE or "failedPrecondition" in words or "FAILED_PRECONDITION" in words:
        return PurchaseExpiredError()
    if status == HTTPStatus.NOT_FOUND or "invalidValue" in words:
        return PurchaseNotFoundError()
    if words & {"purchaseTokenMismatch", "productNotOwnedByUser"}:
        return ProductMismatchError()
    logger.error("google play refuses a call", status=status, words=sorted(words))
    return GooglePlayFailedError()


def _problem(error: ValueError) -> str:
    """Name what is wrong without quoting the answer, which may hold a token."""
    if isinstance(error, ValidationError):
        problems = error.errors(include_input=False, include_url=False, include_context=False)
        return "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['type']}" for problem in problems[:5])
    return str(error)
