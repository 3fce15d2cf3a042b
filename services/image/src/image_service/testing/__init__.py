"""Stand-ins for those the image service calls, on the wire: an engine, a subscription service, and the way to both."""

import asyncio
import base64
import email
import email.policy
import io
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from PIL import Image as Pillow

from common.clock import utc_now
from common.errors import error_body
from common.mongo import Database, new_id
from common.testing import FakeCoin
from image_service.models import Generation, Image
from image_service.orders import Order
from image_service.store.generations import GenerationStore

V2BETA_SIZE = (1216, 832)
"""Width and height of whatever v2beta draws here."""

Answer = Callable[[httpx.Request], Awaitable[httpx.Response]]


def draw_png(width: int = 1024, height: int = 1024, *, seed: int = 1) -> bytes:
    """Return a plain PNG whose colour depends on ``seed``."""
    written = io.BytesIO()
    Pillow.new("RGB", (width, height), (seed % 256, seed // 256 % 256, 90)).save(written, "PNG")
    return written.getvalue()


def some_image(user_id: str, **fields: Any) -> Image:
    """Return a picture as if it had been drawn; there is no file of it."""
    values: dict[str, Any] = {
        "id": new_id(), "user_id": user_id, "generation_id": new_id(), "file": f"{'a' * 32}.png", "size_bytes": 1,
        "sha256": "0", "prompt": "a fox", "negative_prompt": None, "style_preset": None, "width": 1024, "height": 1024,
        "steps": 30, "cfg_scale": 7.0, "seed": 1, "coins_used": 10, "created_at": utc_now(),
    }  # fmt: skip
    return Image(**(values | fields))


FOX_ORDER = Order(
    prompt="a red fox", negative_prompt=None, style_preset=None, width=1024, height=1024, samples=2, steps=30,
    cfg_scale=7, seed=None,
)  # fmt: skip


def some_generation(user_id: str, **fields: Any) -> Generation:
    """Return an order of two pictures, just accepted."""
    values: dict[str, Any] = {
        "id": new_id(), "user_id": user_id, "key": "k", "holds_key": True, "fingerprint": "f", "order": FOX_ORDER,
        "coins_per_image": 10, "state": "accepted", "open": True, "created_at": utc_now(),
    }  # fmt: skip
    return Generation(**(values | fields))


async def leave_behind(database: Database, user_id: str, *, stale: bool = True, **fields: Any) -> Generation:
    """Write the record of an order whose process has died; with ``stale`` its lease has ended too."""
    store = GenerationStore(database, owner="dead", lease_seconds=-1 if stale else 30)
    await store.ensure_indexes()
    if fields.get("state", "accepted") != "accepted":
        fields = {"cover": "coins", "holds_key": fields["state"] != "voiding"} | fields
    added = await store.add(some_generation(user_id, **fields))
    if added is None:
        raise LookupError("another order is in its place")
    return added


async def until_ended(database: Database, generation_id: str, *, seconds: float = 15.0) -> dict[str, Any]:
    """Return the record of an order once nobody has to work on it any more."""
    async with asyncio.timeout(seconds):
        while True:
            document = await database["generations"].find_one({"_id": generation_id})
            if document is not None and not document["open"]:
                return document
            await asyncio.sleep(0.02)


def artifact(png: bytes, *, seed: int = 1, reason: str = "SUCCESS") -> dict[str, Any]:
    """Return one picture of an answer as Stability v1 writes it."""
    return {"base64": base64.b64encode(png).decode(), "seed": seed, "finishReason": reason}


def form_of(request: httpx.Request) -> dict[str, str]:
    """Return the fields of a form as Stability v2beta takes it; ``{}`` of anything else."""
    head = f"Content-Type: {request.headers.get('content-type', '')}\r\n\r\n".encode()
    message = email.message_from_bytes(head + request.content, policy=email.policy.HTTP)
    parts = message.iter_parts() if message.get_content_type() == "multipart/form-data" else ()
    contents = [(part.get_param("name", header="content-disposition"), part.get_payload(decode=True)) for part in parts]
    return {str(name): content.decode() for name, content in contents if isinstance(content, bytes)}


class FakeEngine:
    """Draws what is asked, as Stability on the wire: v1, or v2beta with a picture a call.

    Attributes:
        orders: The bodies of the calls so far, or their forms.
        headers: Of the last call.
        answers: What the next calls are answered instead, first one first.
        reasons: ``finishReason`` of the pictures of every call; the rest are ``SUCCESS``.
        open: While it is not set, calls wait.
    """

    def __init__(self) -> None:
        self.orders: list[dict[str, Any]] = []
        self.headers = httpx.Headers()
        self.answers: list[Answer | httpx.Response | Exception] = []
        self.reasons: list[str] = []
        self.open = asyncio.Event()
        self.open.set()

    async def answer(self, request: httpx.Request) -> httpx.Response:
        is_v1 = request.url.path.startswith("/v1/")
        order: dict[str, Any] = json.loads(request.content) if is_v1 else form_of(request)
        self.orders.append(order)
        self.headers = request.headers
        await self.open.wait()
        if self.answers:
            instead = self.answers.pop(0)
            if isinstance(instead, Exception):
                raise instead
            return instead if isinstance(instead, httpx.Response) else await instead(request)
        if not is_v1:
            return self._one(order)
        first = order.get("seed") or 1000
        reasons = self.reasons + ["SUCCESS"] * (order["samples"] - len(self.reasons))
        artifacts = [
            artifact(draw_png(order["width"], order["height"], seed=first + n), seed=first + n, reason=reason)
            for n, reason in enumerate(reasons)
        ]
        return httpx.Response(200, json={"artifacts": artifacts})

    def _one(self, order: dict[str, str]) -> httpx.Response:
        number = len(self.orders)
        seed = order.get("seed", str(1000 + number))
        reason = self.reasons[number - 1] if number <= len(self.reasons) else "SUCCESS"
        headers = {"content-type": "image/png", "seed": seed, "finish-reason": reason}
        return httpx.Response(200, content=draw_png(*V2BETA_SIZE, seed=int(seed)), headers=headers)


class FakeSubscription:
    """Says whether a subscription covers; ``status`` other than 200 is a fault."""

    def __init__(self) -> None:
        self.active = False
        self.until: str | None = None
        self.status = 200

    def answer(self, _: httpx.Request) -> httpx.Response:
        if self.status != 200:
            return httpx.Response(self.status, json=error_body("internal_error", "failed on purpose", None, "test"))
        return httpx.Response(200, json={"success": True, "data": {"active": self.active, "until": self.until}})


class World(httpx.AsyncBaseTransport):
    """Everybody the service talks to; give it to ``create_app`` as its transport, with ``WORLD_SETTINGS``."""

    def __init__(self, *, balance: int = 100) -> None:
        self.coin = FakeCoin(balance=balance)
        self.subscription = FakeSubscription()
        self.engine = FakeEngine()
        self.away: set[str] = set()
        """Hosts to which nobody listens, by the first part of their name."""
        self._coin = self.coin.transport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host.partition(".")[0]
        if host in self.away:
            raise httpx.ConnectError("refused on purpose", request=request)
        if host == "coin":
            return await self._coin.handle_async_request(request)
        await request.aread()
        response = self.subscription.answer(request) if host == "subscription" else await self.engine.answer(request)
        # As from a socket: nothing of the body has been read yet.
        stream = httpx.ByteStream(response.content) if response.is_closed else response.stream
        return httpx.Response(response.status_code, headers=response.headers, stream=stream, request=request)


WORLD_SETTINGS: dict[str, Any] = {
    "coin_url": "http://coin.test",
    "subscription_url": "http://subscription.test",
    "stability_api_base": "http://engine.test",
}
