"""Stability v2beta: forms only, one picture a call, and the vendor's words for what it refuses."""

import asyncio
import base64
import io
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from PIL import Image

Draw = Callable[..., Awaitable[httpx.Response]]

STABILITY = {"Authorization": "Bearer sk-sandbox"}


@pytest.fixture
def draw(client: httpx.AsyncClient) -> Draw:
    async def draw(
        engine: str = "core", *, accept: str = "image/*", prompt: str = "a red fox", **fields: Any
    ) -> httpx.Response:
        form = [(name, (None, str(value))) for name, value in {"prompt": prompt, **fields}.items()]
        return await client.post(
            f"/v2beta/stable-image/generate/{engine}", files=form, headers=STABILITY | {"Accept": accept}
        )

    return draw


def picture_of(content: bytes) -> tuple[str | None, tuple[int, int]]:
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        return image.format, image.size


def assert_refused(response: httpx.Response, status: int, name: str, says: str = "") -> None:
    body = response.json()
    assert (response.status_code, body["name"]) == (status, name)
    assert set(body) == {"id", "name", "errors"}
    assert says in body["errors"][0]


async def test_a_picture_comes_with_its_story_in_headers(draw: Draw) -> None:
    response = await draw(seed=7, aspect_ratio="16:9", style_preset="anime", negative_prompt="fog")
    assert response.status_code == 200
    assert response.headers["content-type"] == "image/png"
    assert (response.headers["finish-reason"], response.headers["seed"]) == ("SUCCESS", "7")
    assert response.headers["x-request-id"]
    assert picture_of(response.content) == ("PNG", (1600, 896))
    assert (await draw(seed=7, aspect_ratio="16:9", style_preset="anime")).content == response.content


async def test_or_as_json(draw: Draw) -> None:
    response = await draw(seed=7, accept="application/json")
    assert response.headers["content-type"] == "application/json; type=image/png"
    assert "seed" not in response.headers
    body = response.json()
    assert (body["seed"], body["finish_reason"]) == (7, "SUCCESS")
    assert base64.b64decode(body["image"], validate=True) == (await draw(seed=7)).content


@pytest.mark.parametrize(
    ("engine", "ratio", "size"),
    [
        ("core", "1:1", (1216, 1216)),
        ("core", "9:21", (768, 1792)),
        ("ultra", "1:1", (1024, 1024)),
        ("ultra", "2:3", (832, 1216)),
        ("sd3", "4:5", (896, 1152)),
        ("sd3", "9:16", (768, 1344)),
    ],
)
async def test_the_proportion_decides_the_size(draw: Draw, engine: str, ratio: str, size: tuple[int, int]) -> None:
    response = await draw(engine, aspect_ratio=ratio, seed=1)
    assert picture_of(response.content) == ("PNG", size)
    across, down = map(int, ratio.split(":"))
    assert size[0] / size[1] == pytest.approx(across / down, rel=0.05)
    assert size[0] * size[1] == pytest.approx(1.5e6 if engine == "core" else 1.05e6, rel=0.1)


async def test_other_formats(draw: Draw) -> None:
    for engine, kind, form in (("core", "jpeg", "JPEG"), ("ultra", "webp", "WEBP"), ("sd3", "jpeg", "JPEG")):
        response = await draw(engine, output_format=kind)
        assert response.headers["content-type"] == f"image/{kind}"
        assert picture_of(response.content)[0] == form
    assert_refused(await draw("sd3", output_format="webp"), 400, "bad_request", "output_format: ")


async def test_nothing_but_a_form_is_read(client: httpx.AsyncClient) -> None:
    path = "/v2beta/stable-image/generate/core"
    for body in ({"json": {"prompt": "a fox"}}, {"data": {"prompt": "a fox"}}, {"content": b""}):
        assert_refused(await client.post(path, headers=STABILITY, **body), 400, "bad_request", "multipart/form-data")
    broken = STABILITY | {"Content-Type": "multipart/form-data; boundary=x"}
    assert_refused(await client.post(path, headers=broken, content=b"junk"), 400, "bad_request")
    assert (await client.get(path, headers=STABILITY)).status_code == 405


@pytest.mark.parametrize(
    ("engine", "fields"),
    [
        ("core", {"prompt": ""}),
        ("core", {"prompt": "x" * 10_001}),
        ("core", {"negative_prompt": "x" * 10_001}),
        ("core", {"aspect_ratio": "4:3"}),
        ("core", {"seed": 4_294_967_295}),
        ("core", {"seed": "1_0"}),
        ("core", {"seed": -1}),
        ("core", {"style_preset": "van-gogh"}),
        ("core", {"output_format": "gif"}),
        ("sd3", {"model": "sd3"}),
        ("sd3", {"cfg_scale": 0.5}),
        ("sd3", {"cfg_scale": "nan"}),
        ("sd3", {"mode": "video"}),
    ],
)
async def test_refused_fields_are_named(draw: Draw, engine: str, fields: dict[str, Any]) -> None:
    assert_refused(await draw(engine, **fields), 400, "bad_request", f"{next(iter(fields))}: ")


async def test_what_goes_together(client: httpx.AsyncClient, draw: Draw) -> None:
    image = ("image", ("fox.png", b"\x89PNG", "image/png"))
    for engine, form, says in (
        ("ultra", [image], "strength: is required"),
        ("sd3", [("mode", (None, "image-to-image"))], "image: is required"),
    ):
        files = [("prompt", (None, "a fox")), *form]
        response = await client.post(f"/v2beta/stable-image/generate/{engine}", files=files, headers=STABILITY)
        assert_refused(response, 400, "bad_request", says)
    missing = await client.post("/v2beta/stable-image/generate/core", files=[("seed", (None, "1"))], headers=STABILITY)
    assert_refused(missing, 400, "bad_request", "prompt: is required")


async def test_keys_and_accept_are_checked(client: httpx.AsyncClient, draw: Draw) -> None:
    path, files = "/v2beta/stable-image/generate/core", [("prompt", (None, "a fox"))]
    assert_refused(await client.post(path, files=files), 401, "unauthorized")
    assert_refused(
        await client.post(path, files=files, headers={"Authorization": "Bearer nonsense"}), 401, "unauthorized"
    )
    assert_refused(await draw(accept="text/html"), 400, "bad_request", "accept: ")


@pytest.mark.parametrize(
    ("magic", "status", "name"),
    [
        ("moderated", 403, "content_moderation"),
        ("foreign-language", 422, "invalid_language"),
        ("public-figure", 422, "public_figure"),
        ("failed", 500, "internal_error"),
        ("error-402", 402, "payment_required"),
        ("error-413", 413, "payload_too_large"),
        ("error-429", 429, "rate_limit_exceeded"),
        ("error-503", 503, "internal_error"),
    ],
)
async def test_magic_words_that_refuse(draw: Draw, magic: str, status: int, name: str) -> None:
    response = await draw(prompt=f"a fox [sandbox:{magic}]")
    assert_refused(response, status, name)
    if status == 429:
        assert response.json()["id"] == "rate_limit_exceeded"


async def test_magic_words_that_spoil(client: httpx.AsyncClient, draw: Draw) -> None:
    plain = await draw(seed=3)
    reasons = []
    for _ in range(3):
        response = await draw(prompt="a red fox [sandbox:filtered-2]", seed=3)
        reasons.append(response.headers["finish-reason"])
        assert (response.content == plain.content) == (reasons[-1] == "SUCCESS"), "what is withheld is blurred"
    assert reasons == ["CONTENT_FILTERED", "CONTENT_FILTERED", "SUCCESS"]
    with pytest.raises(OSError, match="truncated"):
        picture_of((await draw(prompt="[sandbox:broken-picture]")).content)
    garbage = await draw(prompt="[sandbox:garbage]")
    assert (garbage.status_code, garbage.content[:6]) == (200, b"<html>")


async def test_faults_and_calls(client: httpx.AsyncClient, draw: Draw) -> None:
    async def fault(**how: Any) -> None:
        response = await client.post("/_sandbox/faults", json={"vendor": "stability", **how})
        assert response.is_success, response.text

    await fault(operation="generate.core", status=403)
    assert_refused(await draw(), 403, "content_moderation")
    await fault(filtered=2)
    answers = await asyncio.gather(*(draw(seed=seed) for seed in range(1, 4)))
    assert sorted(answer.headers["finish-reason"] for answer in answers) == [
        "CONTENT_FILTERED",
        "CONTENT_FILTERED",
        "SUCCESS",
    ]
    await draw("sd3", model="sd3.5-flash", prompt="ein Fuchs 狐", cfg_scale=2)
    call = (await client.get("/_sandbox/calls", params={"vendor": "stability"})).json()["calls"][-1]
    assert (call["operation"], call["path"]) == ("generate.sd3", "/v2beta/stable-image/generate/sd3")
    assert call["body"] == {"prompt": "ein Fuchs 狐", "model": "sd3.5-flash", "cfg_scale": "2"}
    assert "sk-sandbox" not in str(call)


async def test_a_body_beyond_the_limit(client: httpx.AsyncClient) -> None:
    image = ("big.png", bytes(10 * 1024 * 1024), "image/png")
    response = await client.post("/v2beta/stable-image/generate/ultra", files={"image": image}, headers=STABILITY)
    assert_refused(response, 413, "payload_too_large", "10MiB")


@pytest.mark.parametrize(
    ("engine", "fields", "price"),
    [
        ("core", {}, 3),
        ("ultra", {}, 8),
        ("sd3", {}, 6.5),
        ("sd3", {"model": "sd3.5-large-turbo"}, 4),
        ("sd3", {"model": "sd3.5-medium"}, 3.5),
        ("sd3", {"model": "sd3.5-flash"}, 2.5),
        ("core", {"prompt": "[sandbox:filtered]"}, 0),
        ("core", {"prompt": "[sandbox:moderated]"}, 0),
    ],
)
async def test_what_it_costs(
    client: httpx.AsyncClient, draw: Draw, engine: str, fields: dict[str, str], price: float
) -> None:
    async def credits() -> float:
        return float((await client.get("/v1/user/balance", headers=STABILITY)).json()["credits"])

    before = await credits()
    await draw(engine, **fields)
    assert before - await credits() == pytest.approx(price)
