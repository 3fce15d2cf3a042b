"""Stability v2beta over HTTP: one picture a call, ordered by a form."""

import asyncio
import base64
import secrets
import uuid

from starlette.requests import Request
from starlette.responses import Response

from sandbox_service.pictures.draw import Commission
from sandbox_service.pictures.studio import StudioBusyError
from sandbox_service.stability.errors import V2BetaError, authorize, v2beta_error
from sandbox_service.stability.magic import Magic, read_magic, without_magic
from sandbox_service.stability.v2beta_orders import (
    MAX_SEED,
    CoreOrder,
    Sd3Order,
    UltraOrder,
    V2BetaOrder,
    read_order,
)
from sandbox_service.state import Sandbox
from sandbox_service.vendor import VendorRoute, fault_of, sandbox_of

KINDS: dict[str, type[V2BetaOrder]] = {"core": CoreOrder, "ultra": UltraOrder, "sd3": Sd3Order}


async def generate(request: Request) -> Response:
    """Draw one picture."""
    authorize(request, V2BetaError)
    as_json = _wants_json(request)
    kind = KINDS[request.url.path.rpartition("/")[2]]
    order = read_order(kind, await request.body(), request.headers.get("content-type", ""))
    magic = read_magic(f"{order.prompt} {order.negative_prompt}")
    await asyncio.sleep(magic.delay_ms / 1000)
    _refuse(magic)
    sandbox = sandbox_of(request)
    if not sandbox.stability.can_pay(order.credits):
        raise v2beta_error(402)
    if magic.garbage:
        return Response("<html><body>upstream sent garbage</body></html>", media_type="text/html")
    withheld = _is_withheld(request, sandbox, order, magic)
    seed = order.seed or secrets.randbelow(MAX_SEED) + 1
    file = await _draw(sandbox, order, seed, blurred=withheld)
    if magic.broken:
        file = file[: len(file) // 2]
    if not withheld:
        sandbox.stability.charge(order.credits)
    return _answer(file, order, seed, withheld=withheld, as_json=as_json)


def _refuse(magic: Magic) -> None:
    if magic.status is not None:
        raise v2beta_error(magic.status)
    if magic.moderated:
        raise v2beta_error(403)
    if magic.foreign_language:
        raise v2beta_error(422)
    if magic.public_figure:
        raise V2BetaError(422, "public_figure", "Our system detected the likeness of a public figure in your image.")
    if magic.failed:
        raise v2beta_error(500)


def _is_withheld(request: Request, sandbox: Sandbox, order: V2BetaOrder, magic: Magic) -> bool:
    fault = fault_of(request)
    if fault is not None and fault.filtered:
        return True
    # Nothing in a call says which picture of an order it is for: those that come first are withheld.
    return magic.filtered > 0 and sandbox.stability.count_call(order.prompt) <= magic.filtered


async def _draw(sandbox: Sandbox, order: V2BetaOrder, seed: int, *, blurred: bool) -> bytes:
    width, height = order.size
    commission = Commission(
        prompt=without_magic(order.prompt),
        style=order.style_preset,
        seed=seed,
        width=width,
        height=height,
        blurred=blurred,
        format=order.output_format,
    )
    try:
        sandbox.studio.admit(1)
    except StudioBusyError as error:
        raise v2beta_error(429) from error
    return await sandbox.studio.draw(commission)


def _answer(file: bytes, order: V2BetaOrder, seed: int, *, withheld: bool, as_json: bool) -> Response:
    reason = "CONTENT_FILTERED" if withheld else "SUCCESS"
    kind = f"image/{order.output_format}"
    headers = {"x-request-id": uuid.uuid4().hex}
    if as_json:
        body = b'{"image":"%b","seed":%d,"finish_reason":"%b"}' % (base64.b64encode(file), seed, reason.encode())
        return Response(body, media_type=f"application/json; type={kind}", headers=headers)
    return Response(file, media_type=kind, headers=headers | {"finish-reason": reason, "seed": str(seed)})


def _wants_json(request: Request) -> bool:
    accept = request.headers.get("accept", "*/*").split(";")[0].strip().lower()
    if accept in {"image/*", "*/*", ""}:
        return False
    if accept == "application/json":
        return True
    raise V2BetaError(400, "bad_request", "accept: must be one of image/*, application/json")


routes = [
    VendorRoute(
        "stability",
        f"generate.{name}",
        "POST",
        f"/v2beta/stable-image/generate/{name}",
        generate,
        lambda status: v2beta_error(status).response,
    )
    for name in KINDS
]
