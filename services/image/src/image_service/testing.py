"""Stand-ins for those the image service calls, on the wire: an engine, a subscription service, and the way to both."""

import asyncio
import base64
import io
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from PIL import Image as Pillow

from common.errors import error_body
from common.testing import FakeCoin

Answer = Callable[[httpx.Request], Awaitable[httpx.Response]]


def draw_png(width: int = 1024, height: int = 1024, *, seed: int = 1) -> bytes:
    """Return a plain PNG whose colour depends on ``seed``."""
    written = io.BytesIO()
    Pillow.new("RGB", (width, height), (seed % 256, seed // 256 % 256, 90)).save(written, "PNG")
    return written.getvalue()


def artifact(png: bytes, *, seed: int = 1, reason: str = "SUCCESS") -> dict[str, Any]:
    """Return one picture of an answer as Stability v1 writes it."""
    return {"base64": base64.b64encode(png).decode(), "seed": seed, "finishReason": reason}


class FakeEngine:
    """Draws what is asked, as Stability v1 on the wire.

    Attributes:
        orders: The bodies of the calls so far.
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
        order = json.loads(request.content)
        self.orders.append(order)
        self.headers = request.headers
        await self.open.wait()
        if self.answers:
            instead = self.answers.pop(0)
            if isinstance(instead, Exception):
                raise instead
            return instead if isinstance(instead, httpx.Response) else await instead(request)
        first = order.get("seed") or 1000
        reasons = self.reasons + ["SUCCESS"] * (order["samples"] - len(self.reasons))
        artifacts = [
            artifact(draw_png(order["width"], order["height"], seed=first + n), seed=first + n, reason=reason)
            for n, reason in enumerate(reasons)
        ]
        return httpx.Response(200, json={"artifacts": artifacts})


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
