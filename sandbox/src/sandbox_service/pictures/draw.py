"""From a commission to a PNG."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from sandbox_service.pictures.brief import read_brief
from sandbox_service.pictures.finishes import blurred
from sandbox_service.pictures.png import encode
from sandbox_service.pictures.styles import PAINTERS, StylePreset


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
    return encode(np.asarray(draw(commission)))
