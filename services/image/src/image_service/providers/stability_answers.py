"""What Stability answers, checked as if a stranger had sent it."""

import binascii
import json
from typing import Any

from common.logging import get_logger
from image_service.errors import ContentRejectedError, ProviderFailedError
from image_service.models import Order
from image_service.png import checked
from image_service.providers import DrawnPicture

logger = get_logger(__name__)

MAX_SEED = 4_294_967_295
MAX_WORD_CHARACTERS = 200


def refusal_name(body: bytes) -> str:
    """Read what the vendor calls an error, in v1's shape or v2beta's; for our decisions and our log only."""
    answer = _parse(body)
    name = answer.get("name") if isinstance(answer, dict) else None
    return name[:MAX_WORD_CHARACTERS] if isinstance(name, str) else ""


def read_pictures(body: bytes, order: Order) -> list[DrawnPicture]:
    """Unpack the pictures of an answer; blocking, some 20 ms each.

    Raises:
        ContentRejectedError: Every picture was withheld by the vendor's filter.
        ProviderFailedError: No picture can be used.
    """
    answer = _parse(body)
    # An object according to the vendor's samples, a bare array according to one of its schemas.
    artifacts = answer.get("artifacts") if isinstance(answer, dict) else answer
    if not isinstance(artifacts, list) or not 1 <= len(artifacts) <= order.samples:
        logger.error("the engine's answer cannot be read")
        raise ProviderFailedError
    reasons = [_reason(artifact) for artifact in artifacts]
    pictures = [
        picture
        for artifact, reason in zip(artifacts, reasons, strict=True)
        if reason == "SUCCESS" and (picture := _picture(artifact, order)) is not None
    ]
    if not pictures:
        raise ContentRejectedError if "CONTENT_FILTERED" in reasons else ProviderFailedError
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
        return DrawnPicture(checked(data, width=order.width, height=order.height), seed)
    except ValueError as error:
        logger.error("the engine sent a picture that is none", problem=str(error)[:MAX_WORD_CHARACTERS])
        return None


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
