"""Stability's REST API v1, ``text-to-image`` with SDXL 1.0: one call draws all pictures of an order."""

import binascii
import json
from typing import Any

from common.logging import get_logger
from image_service.errors import ContentRejectedError, ProviderFailedError
from image_service.orders import Applied, Order
from image_service.png import checked
from image_service.providers import DrawnPicture, OnPicture
from image_service.providers.capabilities import Capabilities
from image_service.providers.stability_http import Call, StabilityHttp

logger = get_logger(__name__)

MAX_SEED = 4_294_967_295

MAX_PICTURE_BYTES = 12 * 1024 * 1024
"""Of one picture in base64; a raw one of 1024 x 1024 pixels with alpha is 5.6 MB so written."""


class StabilityV1:
    """The engine."""

    def __init__(self, http: StabilityHttp, capabilities: Capabilities) -> None:
        self._http = http
        self.capabilities = capabilities

    def check(self, order: Order) -> None:
        self.capabilities.check(order)

    def applied(self, order: Order) -> Applied:
        return self.capabilities.applied(order)

    def ensure_available(self) -> None:
        self._http.ensure_available()

    async def draw(
        self, order: Order, *, order_id: str | None = None, on_picture: OnPicture | None = None
    ) -> list[DrawnPicture]:
        call = Call(
            f"/v1/generation/{self.capabilities.engine}/text-to-image",
            accept="application/json",
            max_bytes=order.samples * MAX_PICTURE_BYTES,
            json=_request(order),
        )
        pictures = await self._http.call(
            call, lambda answer: read_pictures(answer.body, order), order=order_id or object()
        )
        if on_picture is not None:
            for _ in pictures:
                on_picture()
        return pictures


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


def read_pictures(body: bytes, order: Order) -> list[DrawnPicture]:
    """Unpack the pictures of an answer, checked as if a stranger had sent it; some 20 ms each.

    Raises:
        ContentRejectedError: Every picture was withheld by the vendor's filter.
        ProviderFailedError: No picture can be used.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    # An object according to the vendor's samples, a bare array according to one of its schemas.
    artifacts = content.get("artifacts") if isinstance(content, dict) else content
    if not isinstance(artifacts, list) or not 1 <= len(artifacts) <= order.samples:
        logger.error("the engine's answer cannot be read")
        raise ProviderFailedError(is_repeatable=True)
    reasons = [_reason(artifact) for artifact in artifacts]
    pictures = [
        picture
        for artifact, reason in zip(artifacts, reasons, strict=True)
        if reason == "SUCCESS" and (picture := _picture(artifact, order)) is not None
    ]
    if not pictures:
        if "CONTENT_FILTERED" in reasons:
            raise ContentRejectedError
        raise ProviderFailedError(is_repeatable=True)
    return pictures


def _reason(artifact: Any) -> str:
    if not isinstance(artifact, dict):
        return "ERROR"
    return str(artifact.get("finishReason", artifact.get("finish_reason", "ERROR")))


def _picture(artifact: dict[str, Any], order: Order) -> DrawnPicture | None:
    seed, text = artifact.get("seed"), artifact.get("base64")
    if isinstance(seed, str) and seed.isascii() and seed.isdigit() and len(seed) <= 10:
        seed = int(seed)
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED or not isinstance(text, str):
        logger.error("the engine sent a picture without seed or bytes")
        return None
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
        return DrawnPicture.of(checked(data, size=(order.width, order.height)), seed)
    except ValueError as error:
        logger.error("the engine sent a picture that is none", problem=str(error)[:200])
        return None
