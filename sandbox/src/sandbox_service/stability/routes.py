"""Stability v1 over HTTP."""

import asyncio
import base64
import secrets
from dataclasses import dataclass
from typing import Literal

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox_service.pictures.draw import Commission
from sandbox_service.pictures.studio import Studio, StudioBusyError
from sandbox_service.stability.account import V1_CREDITS
from sandbox_service.stability.errors import StabilityError, authorize, bare_error
from sandbox_service.stability.magic import Magic, read_magic, without_magic
from sandbox_service.stability.orders import ENGINE, TextToImage, read_order
from sandbox_service.vendor import Handler, VendorRoute, fault_of, sandbox_of

FinishReason = Literal["SUCCESS", "ERROR", "CONTENT_FILTERED"]


@dataclass(frozen=True)
class Artifact:
    png: bytes
    seed: int
    finish_reason: FinishReason

    def to_json(self) -> bytes:
        """Written by hand: base64 needs no escaping, and several megabytes need no second copy."""
        return b'{"base64":"%b","seed":%d,"finishReason":"%b"}' % (
            base64.b64encode(self.png),
            self.seed,
            self.finish_reason.encode(),
        )


async def text_to_image(request: Request) -> Response:
    """Draw up to ten pictures of one order."""
    authorize(request, StabilityError)
    engine = request.path_params["engine"]
    if engine != ENGINE:
        raise StabilityError(404, "not_found", f"The specified engine (ID {engine}) was not found.")
    as_png = _wants_png(request)
    order = read_order(await request.body())
    if as_png and order.samples > 1:
        raise StabilityError(400, "invalid_samples", "samples: must be 1 when the Accept header is image/png")
    magic = read_magic(order.all_text)
    await asyncio.sleep(magic.delay_ms / 1000)
    if magic.status is not None:
        return bare_error(magic.status)
    if magic.moderated:
        raise StabilityError(
            400, "invalid_prompts", "Invalid prompts detected: one or more prompts contain filtered words."
        )
    sandbox = sandbox_of(request)
    if not sandbox.stability.can_pay(order.samples * V1_CREDITS):
        raise StabilityError(
            429, "insufficient_balance", "Your organization does not have enough balance to request this action."
        )
    if magic.garbage:
        return Response("<html><body>upstream sent garbage</body></html>", media_type="text/html")
    fault = fault_of(request)
    filtered = max(magic.filtered, fault.filtered or 0 if fault else 0)
    try:
        artifacts = await _draw_all(sandbox.studio, order, magic, filtered)
    except StudioBusyError:
        return bare_error(429)
    delivered = sum(artifact.finish_reason == "SUCCESS" for artifact in artifacts)
    sandbox.stability.charge(delivered * V1_CREDITS)
    if as_png:
        only = artifacts[0]
        headers = {"Finish-Reason": only.finish_reason, "Seed": str(only.seed)}
        return Response(only.png, media_type="image/png", headers=headers)
    body = b'{"artifacts":[%b]}' % b",".join([artifact.to_json() for artifact in artifacts])
    return Response(body, media_type="application/json")


async def _draw_all(studio: Studio, order: TextToImage, magic: Magic, filtered: int) -> list[Artifact]:
    """The pictures in order; the first ``filtered`` of them are withheld: blurred, as the vendor sends them."""
    first = order.seed or secrets.randbelow(4_294_967_295) + 1

    async def one(index: int) -> Artifact:
        seed = (first + index) % 4_294_967_296
        withheld = index < filtered
        commission = Commission(
            prompt=without_magic(order.text),
            style=order.style_preset,
            seed=seed,
            width=order.width,
            height=order.height,
            blurred=withheld,
        )
        png = b"" if magic.failed else await studio.draw(commission)
        if magic.broken:
            png = png[: len(png) // 2]
        reason: FinishReason = "ERROR" if magic.failed else "CONTENT_FILTERED" if withheld else "SUCCESS"
        return Artifact(png, seed, reason)

    studio.admit(order.samples)
    return list(await asyncio.gather(*(one(index) for index in range(order.samples))))


async def balance(request: Request) -> Response:
    authorize(request, StabilityError)
    return JSONResponse({"credits": sandbox_of(request).stability.credits})


async def account(request: Request) -> Response:
    authorize(request, StabilityError)
    organization = {"id": "org-sandbox", "name": "Pixelmint sandbox", "role": "OWNER", "is_default": True}
    return JSONResponse(
        {
            "id": "user-sandbox",
            "email": "sandbox@example.com",
            "organizations": [organization],
            "profile_picture": "",
        }
    )


async def engines(request: Request) -> Response:
    authorize(request, StabilityError)
    return JSONResponse(
        [
            {
                "id": ENGINE,
                "name": "Stable Diffusion XL v1.0",
                "description": "Stability-AI Stable Diffusion XL v1.0",
                "type": "PICTURE",
            }
        ]
    )


def _wants_png(request: Request) -> bool:
    kinds = [part.split(";")[0].strip().lower() for part in request.headers.get("accept", "*/*").split(",")]
    for kind in kinds:
        if kind == "image/png":
            return True
        if kind in {"application/json", "application/*", "*/*", ""}:
            return False
    raise StabilityError(400, "bad_request", "Accept: must be application/json or image/png")


def _route(operation: str, method: str, path: str, handler: Handler) -> VendorRoute:
    return VendorRoute("stability", operation, method, path, handler, bare_error)


routes = [
    _route("text_to_image", "POST", "/v1/generation/{engine}/text-to-image", text_to_image),
    _route("user.balance", "GET", "/v1/user/balance", balance),
    _route("user.account", "GET", "/v1/user/account", account),
    _route("engines.list", "GET", "/v1/engines/list", engines),
]
