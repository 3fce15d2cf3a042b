"""v2beta: what it is told, and what is made of several calls that are one order."""

import io
import struct
import zlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from PIL import Image as Pillow
from pydantic import SecretStr

from common.errors import ServiceError
from common.testing import service_settings
from image_service.errors import ContentRejectedError, ProviderFailedError, ProviderUnavailableError
from image_service.orders import Order
from image_service.png import SIGNATURE
from image_service.providers import Provider
from image_service.providers.stability import open_engine
from image_service.settings import EngineName, Settings
from image_service.testing import draw_png, form_of

MAX_SEED = 4_294_967_294


class Wire:
    """The vendor: answers each call by what stands for it, in the order of the calls; else with a picture."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.forms: list[dict[str, str]] = []
        self.headers = httpx.Headers()
        self.answers: dict[int, httpx.Response] = {}
        self.size = (1216, 1216)

    def answer(self, request: httpx.Request) -> httpx.Response:
        number = len(self.forms)
        self.paths.append(request.url.path)
        self.forms.append(form_of(request))
        self.headers = request.headers
        return self.answers.get(number) or picture(draw_png(*self.size, seed=number), seed=str(number + 1))


def picture(content: bytes, *, seed: str = "1", reason: str = "SUCCESS") -> httpx.Response:
    return httpx.Response(
        200, content=content, headers={"content-type": "image/png", "finish-reason": reason, "seed": seed}
    )


FILTERED = picture(draw_png(64, 64), reason="CONTENT_FILTERED")
FAILED = httpx.Response(500, json={"id": "1", "name": "internal_error", "errors": ["vendor's words"]})


def order(**changes: Any) -> Order:
    plain = {"prompt": "a fox", "negative_prompt": None, "style_preset": None, "width": 1024, "height": 1024}
    return Order.model_validate(plain | {"samples": 1, "steps": 30, "cfg_scale": 7, "seed": None} | changes)


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def engine() -> EngineName:
    return "core"


@pytest.fixture
async def provider(wire: Wire, engine: EngineName) -> AsyncIterator[Provider]:
    values: dict[str, Any] = {
        "stability_api_key": SecretStr("sk-test"),
        "stability_api_base": "http://engine.test",
        "stability_engine": engine,
    }
    settings = service_settings(Settings, "mongodb://x", "x", **values)
    async with open_engine(settings, transport=httpx.MockTransport(wire.answer)) as opened:
        yield opened


async def test_a_form_says_what_is_wanted(wire: Wire, provider: Provider) -> None:
    drawn = await provider.draw(
        order(prompt="ein Fuchs 狐", negative_prompt="fog", style_preset="anime", width=1344, height=768, seed=5)
    )
    assert [(one.seed, one.width, one.height) for one in drawn] == [(1, 1216, 1216)]
    with Pillow.open(io.BytesIO(drawn[0].png)) as opened:
        assert opened.size == (1216, 1216)
    assert drawn[0].preview is not None
    assert wire.paths == ["/v2beta/stable-image/generate/core"]
    assert wire.forms == [
        {
            "prompt": "ein Fuchs 狐",
            "negative_prompt": "fog",
            "style_preset": "anime",
            "aspect_ratio": "16:9",
            "seed": "5",
            "output_format": "png",
        }
    ]
    assert wire.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert (wire.headers["accept"], wire.headers["authorization"]) == ("image/*", "Bearer sk-test")


@pytest.mark.parametrize(
    ("engine", "path", "told"),
    [
        ("ultra", "ultra", {}),
        ("sd3", "sd3", {"model": "sd3.5-large", "cfg_scale": "7"}),
        ("sd3.5-large", "sd3", {"model": "sd3.5-large", "cfg_scale": "7"}),
        ("sd3.5-large-turbo", "sd3", {"model": "sd3.5-large-turbo", "cfg_scale": "7"}),
        ("sd3.5-medium", "sd3", {"model": "sd3.5-medium", "cfg_scale": "7"}),
        ("sd3.5-flash", "sd3", {"model": "sd3.5-flash", "cfg_scale": "7"}),
    ],
)
async def test_where_each_engine_is_found(wire: Wire, provider: Provider, path: str, told: dict[str, str]) -> None:
    await provider.draw(order())
    assert wire.paths == [f"/v2beta/stable-image/generate/{path}"]
    assert wire.forms == [{"prompt": "a fox", "aspect_ratio": "1:1", "output_format": "png", **told}]


@pytest.mark.parametrize(
    ("seed", "sent"),
    [
        (7, ["7", "8", "9"]),
        (MAX_SEED - 1, [str(MAX_SEED - 1), str(MAX_SEED), "1"]),
        (None, [None, None, None]),
        (0, [None, None, None]),
    ],
)
async def test_samples_differ_and_equal_orders_look_alike(
    wire: Wire, provider: Provider, seed: int | None, sent: list[str | None]
) -> None:
    asked = order(samples=3, seed=seed)
    await provider.draw(asked)
    assert [form.get("seed") for form in wire.forms] == sent
    assert provider.applied(asked).seed == (seed or None)


async def test_the_good_ones_are_delivered(wire: Wire, provider: Provider) -> None:
    wire.answers = {0: FILTERED, 2: FAILED, 3: picture(b"no picture")}
    heard: list[None] = []
    drawn = await provider.draw(order(samples=5), on_picture=lambda: heard.append(None))
    assert [one.seed for one in drawn] == [2, 5]
    assert len(heard) == 2


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ({0: FILTERED, 1: FILTERED}, ContentRejectedError),
        ({0: FILTERED, 1: FAILED}, ProviderUnavailableError),
        ({0: FAILED, 1: picture(b"no picture")}, ProviderUnavailableError),
    ],
)
async def test_none_is_good(
    wire: Wire, provider: Provider, answers: dict[int, httpx.Response], error: type[ServiceError]
) -> None:
    wire.answers = answers
    with pytest.raises(error):
        await provider.draw(order(samples=2))


def _bomb() -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(10**6))) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "answer",
    [
        picture(b""),
        picture(b"<html>garbage</html>"),
        picture(draw_png(512, 512)[:-30]),
        picture(_bomb()),
        picture(draw_png(64, 64), reason="ERROR"),
        picture(draw_png(64, 64), reason=""),
        picture(draw_png(64, 64), seed=""),
        picture(draw_png(64, 64), seed="-1"),
        picture(draw_png(64, 64), seed="4294967295"),
        picture(draw_png(64, 64), seed="9" * 5000),
        httpx.Response(200, content=draw_png(64, 64)),
        httpx.Response(200, json={"image": "AAAA", "seed": 1, "finish_reason": "SUCCESS"}),
    ],
)
async def test_what_is_no_picture_is_none(wire: Wire, provider: Provider, answer: httpx.Response) -> None:
    wire.answers = {0: answer}
    with pytest.raises(ProviderFailedError) as failed:
        await provider.draw(order())
    assert failed.value.is_repeatable


@pytest.mark.parametrize("size", [(1216, 1216), (1792, 768), (640, 1536)])
async def test_the_engine_decides_the_size(wire: Wire, provider: Provider, size: tuple[int, int]) -> None:
    wire.size = size
    drawn = await provider.draw(order(width=600, height=800, samples=2))
    assert [(one.width, one.height) for one in drawn] == [size, size]


async def test_a_crash_of_ours_is_no_failure_of_theirs(provider: Provider) -> None:
    def crash() -> None:
        raise RuntimeError("ours")

    with pytest.raises(RuntimeError, match="ours"):
        await provider.draw(order(samples=2), on_picture=crash)
