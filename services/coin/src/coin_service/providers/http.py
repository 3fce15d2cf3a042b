"""Ask a vendor for JSON, believing nothing about the size, kind or speed of the answer."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from coin_service.errors import PaymentProviderUnavailableError
from common.http import BodyTooLargeError, open_http_client, read_capped

MAX_ANSWER_BYTES = 512 * 1024
ATTEMPTS = 3

ModelT = TypeVar("ModelT", bound=BaseModel)


class TransientError(PaymentProviderUnavailableError):
    """The vendor was not reached or stumbled; a repeat may help."""


@asynccontextmanager
async def open_vendor_client(
    base_url: str,
    *,
    timeout_seconds: float,
    headers: Mapping[str, str] | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> AsyncIterator[httpx.AsyncClient]:
    """Open a vendor's client; it asks for uncompressed answers, so that a small one cannot become a large one."""
    async with open_http_client(
        base_url,
        timeout_seconds=timeout_seconds,
        headers={"Accept-Encoding": "identity", **(headers or {})},
        transport=transport,
    ) as client:
        yield client


async def request_json(client: httpx.AsyncClient, method: str, url: str, **arguments: Any) -> tuple[int, Any]:
    """Return an answer's status and JSON (``None`` if the body is none).

    Raises:
        TransientError: No answer, a broken one, or too large a one.
    """
    try:
        async with client.stream(method, url, **arguments) as response:
            if response.headers.get("content-encoding", "identity") != "identity":
                raise TransientError
            body = await read_capped(response, MAX_ANSWER_BYTES)
    except (httpx.HTTPError, BodyTooLargeError) as error:
        raise TransientError from error
    try:
        return response.status_code, json.loads(body)
    except (ValueError, RecursionError):
        return response.status_code, None


def is_refusal(answer: Any) -> bool:
    """Tell a vendor's own error from the page of something in between, which is no evidence against a payment."""
    return isinstance(answer, dict) and isinstance(answer.get("error"), dict)


def retrying() -> AsyncRetrying:
    """Three tries in all; only for what may be repeated."""
    return AsyncRetrying(
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.2, max=1.0),
        retry=retry_if_exception_type(TransientError),
        reraise=True,
    )


def parse(model: type[ModelT], answer: Any) -> ModelT:
    """Read a vendor's answer as if a stranger had sent it.

    Raises:
        PaymentProviderUnavailableError: It does not fit.
    """
    try:
        return model.model_validate(answer)
    except ValidationError as error:
        raise PaymentProviderUnavailableError from error
