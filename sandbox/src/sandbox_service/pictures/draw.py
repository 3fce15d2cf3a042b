"""From a commission to a PNG."""

import io
from dataclasses import dataclass

from PIL import Image

from sandbox_service.pictures.brief import read_brief
from sandbox_service.pictures.finishes import blurred
from sandbox_service.pictures.styles import PAINTERS, StylePreset

COMPRESS_LEVEL = 1
"""A picture is to be there quickly: level 6 would take three times as long."""

_RUNS = 3
"""zlib's ``Z_RLE``: after PNG's filters smooth pictures are runs, and a fifth smaller this way in the same time."""


@dataclass(frozen=True)
class Commission:
    """One picture; sides in pixels, multiples of 64."""

    prompt: str
    style: StylePreset | None
    seed: int
    width: int
    height: int
    blurred: bool = False


def draw(commission: Commission) -> Image.Image:
    brief = read_brief(commission.prompt, commission.style, commission.seed, commission.width, commission.height)
    picture = PAINTERS[commission.style](brief)
    return blurred(picture) if commission.blurred else picture


def draw_png(commission: Commission) -> bytes:
    file = io.BytesIO()
    draw(commission).save(file, "PNG", compress_level=COMPRESS_LEVEL, compress_type=_RUNS)
    return file.getvalue()
