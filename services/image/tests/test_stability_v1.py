"""The engine's answers, read as if a stranger had sent them."""

import json
from typing import Any

import pytest

from image_service.errors import ContentRejectedError, ProviderFailedError
from image_service.orders import Order
from image_service.providers.stability_refusals import refusal_name
from image_service.providers.stability_v1 import read_pictures
from image_service.testing import artifact, draw_png

ORDER = Order(
    prompt="a fox",
    negative_prompt=None,
    style_preset=None,
    width=64,
    height=32,
    samples=2,
    steps=30,
    cfg_scale=7,
    seed=None,
)
PNG = draw_png(64, 32)
GOOD = artifact(PNG, seed=5)


def body(*artifacts: Any) -> bytes:
    return json.dumps({"artifacts": artifacts}).encode()


@pytest.mark.parametrize(
    "answer",
    [
        body(GOOD),
        json.dumps([GOOD]).encode(),
        body({"base64": GOOD["base64"], "seed": "5", "finish_reason": "SUCCESS"}),
        body(GOOD, artifact(b"", seed=6, reason="ERROR")),
        body(artifact(PNG, seed=4, reason="CONTENT_FILTERED"), GOOD),
        body(GOOD | {"base64": "not base64"}, GOOD),
        body(GOOD | {"seed": None}, GOOD),
        body(None, GOOD),
    ],
)
def test_the_good_one_is_taken_from_either_shape(answer: bytes) -> None:
    pictures = read_pictures(answer, ORDER)
    assert [(picture.png, picture.seed) for picture in pictures] == [(PNG, 5)]


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"null", b"{}", b"[]", b"true", b"<html>", b"\xff\xfe", b"[" * 100_000, b'{"artifacts": {}}',
        b'{"artifacts": "x"}', b'{"artifacts": [' + b"9" * 5000 + b"]}",
        body(), body(1), body([]), body({}), body(GOOD, GOOD, GOOD),
        body(artifact(PNG, reason="ERROR")), body(artifact(PNG, reason="WHATEVER")),
        body(GOOD | {"base64": 1}), body(GOOD | {"base64": ""}), body(GOOD | {"base64": GOOD["base64"][:-9]}),
        body(GOOD | {"base64": " " + GOOD["base64"]}), body(GOOD | {"base64": "aaaa"}), body(GOOD | {"base64": "狐"}),
        body(GOOD | {"seed": True}), body(GOOD | {"seed": -1}), body(GOOD | {"seed": 2**32}),
        body(GOOD | {"seed": 1.5}),
        body(GOOD | {"seed": "9" * 5000}), body(artifact(draw_png(32, 64))), body(artifact(PNG[:-30])),
    ],
)  # fmt: skip
def test_what_cannot_be_used(answer: bytes) -> None:
    with pytest.raises(ProviderFailedError):
        read_pictures(answer, ORDER)


def test_all_withheld() -> None:
    with pytest.raises(ContentRejectedError):
        read_pictures(body(artifact(PNG, reason="CONTENT_FILTERED"), artifact(PNG, reason="ERROR")), ORDER)


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (b'{"id":"1","name":"invalid_prompts","message":"x"}', "invalid_prompts"),
        (b'{"id":"1","name":"content_moderation","errors":["x"]}', "content_moderation"),
        (b'{"name": ["x"]}', ""),
        (b"[]", ""),
        (b"<html>", ""),
        (b'{"name": "' + b"x" * 500 + b'"}', "x" * 200),
    ],
)
def test_the_vendors_name_of_an_error(answer: bytes, name: str) -> None:
    assert refusal_name(answer) == name
