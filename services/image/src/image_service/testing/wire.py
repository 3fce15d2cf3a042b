"""A vendor on the wire: Stability of both generations, answering as told."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
from pydantic import SecretStr

from common.errors import ServiceError
from common.testing import service_settings
from image_service.orders import Order
from image_service.providers import Provider
from image_service.providers.stability import open_engine
from image_service.settings import EngineName, Settings
from image_service.testing import artifact, draw_png

V1: EngineName = "stable-diffusion-xl-1024-v1-0"
CORE: EngineName = "core"
BOTH: list[EngineName] = [V1, CORE]

Open = Callable[..., AbstractAsyncContextManager[Provider]]


class Wire(httpx.AsyncBaseTransport):
    """A vendor that answers as told, and well if nothing is told."""

    def __init__(self) -> None:
        self.answers: list[httpx.Response | Exception] = []
        self.calls = 0
        self.most_at_once = 0
        self.open = asyncio.Event()
        self.open.set()
        self._at_once = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.calls += 1
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            await self.open.wait()
        finally:
            self._at_once -= 1
        if not self.answers:
            return good(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        stream = httpx.ByteStream(answer.content) if answer.is_closed else answer.stream
        return httpx.Response(answer.status_code, headers=answer.headers, stream=stream)


def good(request: httpx.Request) -> httpx.Response:
    """Answer as an engine that is well."""
    if request.url.path.startswith("/v1/"):
        samples = json.loads(request.content)["samples"]
        body = json.dumps({"artifacts": [artifact(draw_png(), seed=n + 1) for n in range(samples)]}).encode()
        return httpx.Response(200, stream=httpx.ByteStream(body))
    return httpx.Response(
        200, headers={"finish-reason": "SUCCESS", "seed": "1"}, stream=httpx.ByteStream(draw_png(64, 64))
    )


def refusal(status: int, name: str, **headers: str) -> httpx.Response:
    """Answer with an error in the words of both generations."""
    body = {"id": "1", "name": name, "message": "vendor's words", "errors": ["vendor's words"]}
    return httpx.Response(status, json=body, headers={key.replace("_", "-"): value for key, value in headers.items()})


def order(samples: int = 1, **changes: Any) -> Order:
    plain = {"prompt": "a fox", "negative_prompt": None, "style_preset": None, "width": 1024, "height": 1024}
    return Order.model_validate(plain | {"samples": samples, "steps": 30, "cfg_scale": 7, "seed": None} | changes)


def opened_at(wire: Wire) -> Open:
    """Return what opens an engine that speaks to ``wire``; settings by name."""

    def begin(engine: EngineName, **overrides: Any) -> AbstractAsyncContextManager[Provider]:
        values = {"stability_api_key": SecretStr("sk-test"), "stability_api_base": "http://engine.test"}
        settings = service_settings(Settings, "mongodb://x", "x", **(values | {"stability_engine": engine} | overrides))
        return open_engine(settings, transport=wire)

    return begin


async def draw_failing(provider: Provider, samples: int = 1) -> ServiceError:
    """Order, and return the error that came of it; it holds none of the vendor's words."""
    try:
        await provider.draw(order(samples))
    except ServiceError as error:
        if "vendor" in str(error):
            raise AssertionError("the vendor's words reach the client") from error
        return error
    raise AssertionError("it did not fail")


class Pieces(httpx.AsyncByteStream):
    """A body that comes piece by piece."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces
