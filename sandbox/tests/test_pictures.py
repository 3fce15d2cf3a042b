"""Pictures: determinism, variety, size; how long they take is printed, not judged."""

import io
import time
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from sandbox_service.pictures.draw import Commission, draw, draw_file
from sandbox_service.pictures.styles import PAINTERS, StylePreset
from sandbox_service.stability.orders import SIZES

STYLES: list[StylePreset | None] = [None, *get_args(StylePreset)]


def commission(style: StylePreset | None = None, *, prompt: str = "a lake", seed: int = 1) -> Commission:
    return Commission(prompt, style, seed, 832, 1216)


def difference(one: Image.Image, other: Image.Image) -> float:
    """Mean distance of two pictures, 0…255, seen from afar."""
    small = [np.asarray(image.resize((64, 64), Image.Resampling.BOX), dtype=np.float32) for image in (one, other)]
    return float(np.abs(small[0] - small[1]).mean())


def test_every_style_has_its_painter() -> None:
    assert len(STYLES) == 18
    assert set(PAINTERS) == set(STYLES)


@pytest.mark.parametrize("style", STYLES)
def test_same_commission_same_bytes_and_every_part_counts(style: StylePreset | None) -> None:
    first = draw_file(commission(style))
    assert first == draw_file(commission(style))

    picture = Image.open(io.BytesIO(first))
    assert picture.size == (832, 1216)
    assert picture.mode == "RGB"
    for other in (commission(style, seed=2), commission(style, prompt="an old lighthouse")):
        assert difference(picture, draw(other)) > 2


def test_styles_look_different() -> None:
    pictures = {style: draw(commission(style)) for style in STYLES}
    for index, style in enumerate(STYLES):
        for other in STYLES[index + 1 :]:
            assert difference(pictures[style], pictures[other]) > 4, (style, other)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("prompt", ["a lake", "a planet in space"])
def test_all_sizes(size: tuple[int, int], prompt: str) -> None:
    picture = draw(Commission(prompt, None, 3, *size))
    assert picture.size == size
    assert np.asarray(picture).std() > 10, "not a plain surface"


@pytest.mark.parametrize("prompt", ["abstract silk", "tokyo city", "dunes", "a forest at night", "snowy mountains"])
@pytest.mark.parametrize("size", [(1536, 640), (640, 1536)])
def test_all_scenes_in_the_narrowest_sizes(size: tuple[int, int], prompt: str) -> None:
    assert draw(Commission(prompt, None, 3, *size)).size == size


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("size", [(1536, 640), (640, 1536)])
def test_all_styles_in_the_narrowest_sizes(style: StylePreset | None, size: tuple[int, int]) -> None:
    assert draw(Commission("a castle", style, 3, *size)).size == size


@pytest.mark.parametrize("prompt", ["", " ", "🦊" * 500, "\x00", "Ein Fuchs über den Bergen", "x" * 2000])
def test_any_prompt_can_be_drawn(prompt: str) -> None:
    assert draw(Commission(prompt, "pixel-art", 4_294_967_295, 1024, 1024)).size == (1024, 1024)


def test_how_long_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    figures = []
    for style in STYLES:
        started = time.thread_time()
        size = len(draw_file(Commission("a mountain at sunset", style, 1, 1024, 1024)))
        figures.append(f"{style!s:18} {(time.thread_time() - started) * 1000:4.0f} ms {size // 1024:5d} KiB")
    with capsys.disabled():
        print("\n1024x1024, one core, PNG included:", *figures, sep="\n  ")  # noqa: T201
    assert len(figures) == 18
