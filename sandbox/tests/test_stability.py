"""Stability v1: what is accepted, what is refused, and in which words."""

import base64
import io
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from PIL import Image

Draw = Callable[..., Awaitable[httpx.Response]]

ENGINE = "stable-diffusion-xl-1024-v1-0"
STABILITY = {"Authorization": "Bearer sk-sandbox"}


def order(prompt: str = "a red fox", **changes: Any) -> dict[str, Any]:
    return {"text_prompts": [{"text": prompt, "weight": 1}], "width": 1024, "height": 1024, **changes}


@pytest.fixture
def draw(client: httpx.AsyncClient) -> Draw:
    async def draw(
        body: Any, *, engine: str = ENGINE, accept: str = "application/json", headers: dict[str, str] | None = None
    ) -> httpx.Response:
        sent = {"Content-Type": "application/json", "Accept": accept}
        content = body if isinstance(body, bytes) else json.dumps(body)
        return await client.post(
            f"/v1/generation/{engine}/text-to-image",
            content=content,
            headers=sent | (STABILITY if headers is None else headers),
        )

    return draw


def png_of(artifact: dict[str, Any]) -> bytes:
    return base64.b64decode(artifact["base64"], validate=True)


async def test_pictures_come_as_base64_png_with_a_seed_each(draw: Draw) -> None:
    response = await draw(order(samples=2, seed=7, width=640, height=1536))

    assert response.status_code == 200
    first, second = response.json()["artifacts"]
    assert (first["seed"], second["seed"]) == (7, 8)
    assert first["finishReason"] == second["finishReason"] == "SUCCESS"
    for artifact in (first, second):
        with Image.open(io.BytesIO(png_of(artifact))) as image:
            image.load()
            assert (image.format, image.size, image.mode) == ("PNG", (640, 1536), "RGB")
    assert first["base64"] != second["base64"]


async def test_png_variant_carries_seed_and_reason_in_headers(draw: Draw) -> None:
    response = await draw(order(seed=99), accept="image/png")

    assert response.headers["Content-Type"] == "image/png"
    assert response.headers["Seed"] == "99"
    assert response.headers["Finish-Reason"] == "SUCCESS"
    assert response.headers["X-Pixelmint-Sandbox"] == "1"
    with Image.open(io.BytesIO(response.content)) as image:
        assert image.size == (1024, 1024)


async def test_same_order_same_bytes_and_seed_zero_is_random(draw: Draw) -> None:
    one, again = await draw(order(seed=5)), await draw(order(seed=5))
    assert one.content == again.content

    seeds = {(await draw(order())).json()["artifacts"][0]["seed"] for _ in range(3)}
    assert len(seeds) == 3
    assert 0 not in seeds


@pytest.mark.parametrize(
    ("changes", "name", "says"),
    [
        ({"samples": 11}, "invalid_samples", "samples: "),
        ({"samples": 0}, "invalid_samples", "samples: "),
        ({"samples": "2"}, "invalid_samples", "samples: "),
        ({"steps": 9}, "bad_request", "steps: "),
        ({"steps": 51}, "bad_request", "steps: "),
        ({"cfg_scale": 36}, "bad_request", "cfg_scale: "),
        ({"seed": 4_294_967_296}, "bad_request", "seed: "),
        ({"style_preset": "van-gogh"}, "bad_request", "style_preset: "),
        ({"sampler": "EULER"}, "bad_request", "sampler: "),
        ({"width": 1000}, "invalid_height_or_width", "width: "),
        ({"height": 64}, "invalid_height_or_width", "height: "),
        ({"width": 512, "height": 512}, "invalid_sdxl_v1_dimensions", "but we received 512x512"),
        ({"text_prompts": []}, "bad_request", "text_prompts: "),
        ({"text_prompts": [{"text": "x" * 2001}]}, "bad_request", "text_prompts.0.text: "),
        ({"text_prompts": [{"text": ""}]}, "bad_request", "text_prompts.0.text: "),
    ],
)
async def test_refusals_have_the_vendors_names(draw: Draw, changes: dict[str, Any], name: str, says: str) -> None:
    response = await draw(order(**changes))

    assert response.status_code == 400
    body = response.json()
    assert set(body) == {"id", "name", "message"}
    assert body["name"] == name
    assert says in body["message"]


async def test_default_size_does_not_suit_the_engine(draw: Draw) -> None:
    response = await draw({"text_prompts": [{"text": "a fox"}]})
    assert response.json()["name"] == "invalid_sdxl_v1_dimensions"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b'{"cfg_scale": NaN}', b"\xff\xfe", b"[" * 100_000])
async def test_no_json_is_a_bad_request(draw: Draw, body: bytes) -> None:
    response = await draw(body)
    assert (response.status_code, response.json()["name"]) == (400, "bad_request")


async def test_missing_prompt_is_required(draw: Draw) -> None:
    response = await draw({"width": 1024, "height": 1024})
    assert response.json()["message"] == "text_prompts: is required"


async def test_unknown_and_retired_engines_are_not_found(draw: Draw) -> None:
    response = await draw(order(), engine="stable-diffusion-v1-6")
    assert response.status_code == 404
    assert response.json()["message"] == "The specified engine (ID stable-diffusion-v1-6) was not found."


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({}, "missing authorization header"),
        ({"Authorization": "Bearer nonsense"}, "Incorrect API key provided"),
        ({"Authorization": "Basic sk-1"}, "Incorrect API key provided"),
    ],
)
async def test_keys_are_checked(draw: Draw, headers: dict[str, str], message: str) -> None:
    response = await draw(order(), headers=headers)
    assert response.status_code == 401
    assert (response.json()["name"], response.json()["message"]) == ("unauthorized", message)


async def test_png_variant_takes_one_sample(draw: Draw) -> None:
    response = await draw(order(samples=2), accept="image/png")
    assert (response.status_code, response.json()["name"]) == (400, "invalid_samples")
    assert (await draw(order(), accept="text/html")).status_code == 400


async def test_magic_words(draw: Draw) -> None:
    moderated = await draw(order("a fox [sandbox:moderated]"))
    assert (moderated.status_code, moderated.json()["name"]) == (400, "invalid_prompts")

    failing = await draw(order("[sandbox:error-503] a fox"))
    assert (failing.status_code, failing.json()["name"]) == (503, "server_error")

    partly = (await draw(order("a fox [sandbox:filtered-1]", samples=2, seed=3))).json()["artifacts"]
    assert [artifact["finishReason"] for artifact in partly] == ["CONTENT_FILTERED", "SUCCESS"]
    plain = (await draw(order("a fox", samples=2, seed=3))).json()["artifacts"]
    assert partly[0]["base64"] != plain[0]["base64"], "what is withheld is blurred"
    assert partly[1]["base64"] == plain[1]["base64"], "magic words do not change the picture"

    failed = (await draw(order("a fox [sandbox:failed]"))).json()["artifacts"][0]
    assert (failed["finishReason"], failed["base64"]) == ("ERROR", "")

    broken = png_of((await draw(order("a fox [sandbox:broken-picture]"))).json()["artifacts"][0])
    with pytest.raises(OSError, match="truncated"), Image.open(io.BytesIO(broken)) as image:
        image.load()

    garbage = await draw(order("[sandbox:garbage]"))
    assert garbage.status_code == 200
    assert garbage.content.startswith(b"<html>")


async def test_only_delivered_pictures_cost_credits(client: httpx.AsyncClient, draw: Draw) -> None:
    async def credits() -> float:
        return float((await client.get("/v1/user/balance", headers=STABILITY)).json()["credits"])

    before = await credits()
    await draw(order("a fox [sandbox:filtered-2]", samples=3, style_preset="pixel-art"))
    assert before - await credits() == pytest.approx(0.9)


async def test_engines_and_account(client: httpx.AsyncClient) -> None:
    engines = (await client.get("/v1/engines/list", headers=STABILITY)).json()
    assert [(engine["id"], engine["type"]) for engine in engines] == [(ENGINE, "PICTURE")]
    assert set((await client.get("/v1/user/account", headers=STABILITY)).json()) >= {"id", "email", "organizations"}
