"""What each engine takes, and what is said of it."""

from typing import Any, get_args

import pytest

from common.errors import ValidationFailedError
from image_service.orders import Order
from image_service.providers.capabilities import ENGINES, SDXL_SIZES
from image_service.settings import EngineName

V1 = ENGINES["stable-diffusion-xl-1024-v1-0"]
V2BETA = [engine for engine in ENGINES.values() if not engine.sizes]


def order(**changes: Any) -> Order:
    plain = {"prompt": "a fox", "negative_prompt": None, "style_preset": None, "width": 1024, "height": 1024}
    return Order.model_validate(plain | {"samples": 1, "steps": 30, "cfg_scale": 7, "seed": None} | changes)


def test_every_engine_that_can_be_chosen_is_known() -> None:
    assert set(ENGINES) == set(get_args(EngineName))


@pytest.mark.parametrize(
    ("size", "ratio"),
    [
        ((1024, 1024), "1:1"),
        ((1344, 768), "16:9"),
        ((768, 1344), "9:16"),
        ((1536, 640), "21:9"),
        ((640, 1536), "9:21"),
        ((1216, 832), "3:2"),
        ((832, 1216), "2:3"),
        ((1152, 896), "5:4"),
        ((896, 1152), "4:5"),
        ((1920, 1080), "16:9"),
        ((800, 600), "5:4"),
        ((600, 800), "4:5"),
        ((512, 512), "1:1"),
        ((1000, 999), "1:1"),
        ((4096, 64), "21:9"),
        ((64, 4096), "9:21"),
        ((1170, 2532), "9:21"),
    ],
)
def test_the_nearest_proportion(size: tuple[int, int], ratio: str) -> None:
    for engine in V2BETA:
        told = engine.applied(order(width=size[0], height=size[1]))
        assert (told.aspect_ratio, told.width, told.height) == (ratio, None, None)


def test_every_size_of_v1_stands_for_a_proportion_of_its_own() -> None:
    for engine in V2BETA:
        assert {engine.aspect_ratio(*size) for size in SDXL_SIZES} == set(engine.aspect_ratios)


@pytest.mark.parametrize(
    ("engine", "changes", "fields"),
    [
        ("stable-diffusion-xl-1024-v1-0", {"width": 512, "height": 512}, ["width", "height"]),
        ("stable-diffusion-xl-1024-v1-0", {"prompt": "x" * 2001}, ["prompt"]),
        ("stable-diffusion-xl-1024-v1-0", {"negative_prompt": "x" * 2001}, ["negativePrompt"]),
        ("stable-diffusion-xl-1024-v1-0", {"seed": 2**32}, ["seed"]),
        ("core", {"width": 63}, ["width"]),
        ("core", {"height": 4097}, ["height"]),
        ("core", {"prompt": "x" * 10_001}, ["prompt"]),
        ("core", {"seed": 4_294_967_295}, ["seed"]),
        ("core", {"samples": 11}, ["samples"]),
        ("sd3", {"cfg_scale": 10.5, "samples": 0}, ["samples", "cfgScale"]),
        ("sd3.5-flash", {"cfg_scale": 0.5}, ["cfgScale"]),
    ],
)
def test_what_an_engine_refuses_is_named(engine: EngineName, changes: dict[str, Any], fields: list[str]) -> None:
    with pytest.raises(ValidationFailedError) as refused:
        ENGINES[engine].check(order(**changes))
    assert isinstance(refused.value.details, list)
    assert [detail["field"] for detail in refused.value.details] == fields
    assert all(detail["message"] for detail in refused.value.details)
    assert refused.value.message.startswith(f"{fields[0]}: ")


def test_fields_an_engine_does_not_have_may_be_anything() -> None:
    ENGINES["core"].check(order(steps=10, cfg_scale=35, prompt="x" * 10_000, seed=4_294_967_294))
    V1.check(order(seed=4_294_967_295, prompt="x" * 2000))


def test_applied_says_what_is_told_and_nothing_else() -> None:
    asked = order(samples=2, style_preset="anime", negative_prompt="fog", seed=5, width=1344, height=768)
    common = {"samples": 2, "style_preset": "anime", "negative_prompt": "fog", "seed": 5}
    size = {"width": 1344, "height": 768, "aspect_ratio": None}
    assert V1.applied(asked).model_dump() == common | size | {"engine": V1.engine, "steps": 30, "cfg_scale": 7}
    ratio = {"width": None, "height": None, "aspect_ratio": "16:9", "steps": None}
    assert ENGINES["core"].applied(asked).model_dump() == common | ratio | {"engine": "core", "cfg_scale": None}
    assert ENGINES["sd3"].applied(asked).model_dump() == common | ratio | {"engine": "sd3", "cfg_scale": 7}
