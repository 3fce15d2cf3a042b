"""Stability's REST API v2beta, ``stable-image/generate``: one picture a call, so an order's calls run side by side."""

import asyncio
from collections.abc import Hashable

from common.errors import ServiceError
from common.logging import get_logger
from image_service.errors import ContentRejectedError, ProviderFailedError
from image_service.orders import Applied, Order
from image_service.png import checked
from image_service.providers import DrawnPicture, OnPicture
from image_service.providers.capabilities import Capabilities
from image_service.providers.stability_http import Answer, Call, StabilityHttp

logger = get_logger(__name__)

MAX_PICTURE_BYTES = 12 * 1024 * 1024
"""Of one picture; a raw one of 1.5 million pixels with alpha is 6 MB."""

SD3 = "sd3"
SD3_MODEL = "sd3.5-large"


class StabilityV2Beta:
    """The engine; its own name is the last part of the address, except that sd3's models share one."""

    def __init__(self, http: StabilityHttp, capabilities: Capabilities) -> None:
        self._http = http
        self.capabilities = capabilities

    def check(self, order: Order) -> None:
        self.capabilities.check(order)

    def applied(self, order: Order) -> Applied:
        # 0 is the vendor's word for a random seed: then it is told none.
        return self.capabilities.applied(order).model_copy(update={"seed": order.seed or None})

    def ensure_available(self) -> None:
        self._http.ensure_available()

    async def draw(
        self, order: Order, *, order_id: str | None = None, on_picture: OnPicture | None = None
    ) -> list[DrawnPicture]:
        counted_as = order_id or object()

        async def one(number: int) -> DrawnPicture:
            picture = await self._draw(order, number, counted_as)
            if on_picture is not None:
                on_picture()
            return picture

        results = await asyncio.gather(*(one(number) for number in range(order.samples)), return_exceptions=True)
        errors = [result for result in results if isinstance(result, BaseException)]
        for error in errors:
            if not isinstance(error, ServiceError):
                raise error
        pictures = [result for result in results if isinstance(result, DrawnPicture)]
        if pictures:
            return pictures
        # What went wrong by chance may go well next time; what was withheld would be again.
        raise next((error for error in errors if not isinstance(error, ContentRejectedError)), errors[0])

    async def _draw(self, order: Order, number: int, counted_as: Hashable) -> DrawnPicture:
        engine = self.capabilities.engine
        path = SD3 if engine.startswith(SD3) else engine
        call = Call(
            f"/v2beta/stable-image/generate/{path}",
            accept="image/*",
            max_bytes=MAX_PICTURE_BYTES,
            fields=self._fields(order, number),
        )
        return await self._http.call(call, lambda answer: _read(answer, self.capabilities.max_seed), order=counted_as)

    def _fields(self, order: Order, number: int) -> dict[str, str]:
        """Write picture ``number`` of an order as the form's fields."""
        told = self.applied(order)
        fields = {"prompt": order.prompt, "output_format": "png", "aspect_ratio": str(told.aspect_ratio)}
        if order.negative_prompt:
            fields["negative_prompt"] = order.negative_prompt
        if order.style_preset is not None:
            fields["style_preset"] = order.style_preset
        if told.seed is not None:
            # Round the end and past 0, which would be random: equal orders look alike, their pictures differ.
            fields["seed"] = str((told.seed - 1 + number) % self.capabilities.max_seed + 1)
        if told.cfg_scale is not None:
            fields["cfg_scale"] = f"{told.cfg_scale:.15g}"
        if told.engine.startswith(SD3):
            fields["model"] = SD3_MODEL if told.engine == SD3 else told.engine
        return fields


def _read(answer: Answer, max_seed: int) -> DrawnPicture:
    """Check a picture as if a stranger had sent it; some 20 ms.

    Raises:
        ContentRejectedError: It was withheld by the vendor's filter, and is blurred.
        ProviderFailedError: It cannot be used.
    """
    reason, seed = answer.headers.get("finish-reason", ""), answer.headers.get("seed", "")
    if reason == "CONTENT_FILTERED":
        raise ContentRejectedError
    if reason != "SUCCESS" or not (seed.isascii() and seed.isdigit() and len(seed) <= 10 and int(seed) <= max_seed):
        logger.error("the engine's answer cannot be read", reason=reason[:50])
        raise ProviderFailedError(is_repeatable=True)
    try:
        return DrawnPicture.of(checked(answer.body), int(seed))
    except ValueError as error:
        logger.error("the engine sent a picture that is none", problem=str(error)[:200])
        raise ProviderFailedError(is_repeatable=True) from error
