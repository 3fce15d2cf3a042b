"""Stability's REST API v1, ``text-to-image`` with SDXL 1.0."""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx

from common.errors import ValidationFailedError
from common.http import BodyTooLargeError, read_capped
from common.logging import get_logger
from image_service.errors import (
    ContentRejectedError,
    ProviderFailedError,
    ProviderTimeoutError,
    ProviderUnavailableError,
)
from image_service.models import Order
from image_service.providers import DrawnPicture
from image_service.providers.stability_answers import read_pictures, refusal_name

logger = get_logger(__name__)

SIZES = (
    (1024, 1024),
    (1152, 896),
    (1216, 832),
    (1344, 768),
    (1536, 640),
    (640, 1536),
    (768, 1344),
    (832, 1216),
    (896, 1152),
)
"""Width and height; SDXL 1.0 draws no others."""

MAX_PICTURE_BYTES = 12 * 1024 * 1024
"""Of one picture in base64; a raw one of 1024 x 1024 pixels with alpha is 5.6 MB so written."""

MAX_DECODING = 2
"""Answers unpacked at once; each needs several times its own size meanwhile."""

MAX_REFUSAL_BYTES = 64 * 1024
RATE_LIMIT_SECONDS = 60
"""How long the vendor locks a key that asked too often."""
MAX_RETRY_AFTER_SECONDS = 300
UNREADABLE = (httpx.ConnectError, httpx.ConnectTimeout)
"""Failures before a byte of the request left: it may be sent again."""

MODERATED = frozenset(("invalid_prompts", "content_moderation"))


class StabilityV1:
    """The engine; one call draws all pictures of an order.

    Args:
        client: With the vendor's address and our key.
        engine: Id of the engine at the vendor.
        timeout_seconds: Of a whole call, however slowly its answer comes.
        max_samples: Pictures of one order, if it is to be fewer than the engine's ten.
    """

    def __init__(self, client: httpx.AsyncClient, *, engine: str, timeout_seconds: float, max_samples: int) -> None:
        self._client = client
        self._max_samples = max_samples
        self._path = f"/v1/generation/{engine}/text-to-image"
        self._timeout_seconds = timeout_seconds
        self._decoding = asyncio.Semaphore(MAX_DECODING)

    def check(self, order: Order) -> None:
        if order.samples > self._max_samples:
            raise ValidationFailedError.of("samples", f"must be at most {self._max_samples}")
        if (order.width, order.height) not in SIZES:
            allowed = ", ".join(f"{width}x{height}" for width, height in SIZES)
            text = f"width x height must be one of {allowed}"
            details = [{"field": field, "message": text} for field in ("width", "height")]
            raise ValidationFailedError(f"{text}.", details=details)

    async def draw(self, order: Order) -> list[DrawnPicture]:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                try:
                    body = await self._send(order)
                except UNREADABLE:
                    body = await self._send(order)
                async with self._decoding:
                    return await asyncio.to_thread(read_pictures, body, order)
        except TimeoutError as error:
            raise ProviderTimeoutError from error
        except UNREADABLE as error:
            raise ProviderUnavailableError from error
        except httpx.TimeoutException as error:
            raise ProviderTimeoutError from error
        except httpx.HTTPError as error:
            raise ProviderFailedError from error

    async def _send(self, order: Order) -> bytes:
        async with self._client.stream("POST", self._path, json=_request(order)) as response:
            if response.status_code == httpx.codes.OK:
                return await _read(response, order.samples * MAX_PICTURE_BYTES)
            name = refusal_name(await _read(response, MAX_REFUSAL_BYTES))
        raise _error(response.status_code, name, response.headers)


def _request(order: Order) -> dict[str, Any]:
    prompts: list[dict[str, Any]] = [{"text": order.prompt, "weight": 1}]
    if order.negative_prompt:
        prompts.append({"text": order.negative_prompt, "weight": -1})
    body: dict[str, Any] = {
        "text_prompts": prompts,
        "width": order.width,
        "height": order.height,
        "samples": order.samples,
        "steps": order.steps,
        "cfg_scale": order.cfg_scale,
    }
    if order.style_preset is not None:
        body["style_preset"] = order.style_preset
    if order.seed is not None:
        body["seed"] = order.seed
    return body


async def _read(response: httpx.Response, max_bytes: int) -> bytes:
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise ProviderFailedError  # we asked for none, and a packed answer may be a bomb
    try:
        return await read_capped(response, max_bytes)
    except BodyTooLargeError as error:
        logger.error("the engine's answer is too large", max_bytes=max_bytes)
        raise ProviderFailedError from error


def _error(status: int, name: str, headers: Mapping[str, str]) -> Exception:
    if status in (400, 403) and name in MODERATED:
        return ContentRejectedError()
    # From here on it is the operator's to mend, and never the vendor's words that reach a client.
    logger.error("the engine refused a call", status=status, vendor_code=name)
    if status in (402, 429) or name == "insufficient_balance":
        return ProviderUnavailableError(retry_after_seconds=_retry_after(headers))
    if status >= 500:
        return ProviderUnavailableError()
    return ProviderFailedError()


def _retry_after(headers: Mapping[str, str]) -> int:
    declared = headers.get("retry-after", "")
    if declared.isascii() and declared.isdigit() and len(declared) < 9:
        return max(1, min(int(declared), MAX_RETRY_AFTER_SECONDS))
    return RATE_LIMIT_SECONDS
