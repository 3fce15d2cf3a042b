"""From a commission to a file."""

import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from sandbox_service.pictures.brief import read_brief
from sandbox_service.pictures.finishes import blurred
from sandbox_service.pictures.png import encode
from sandbox_service.pictures.styles import PAINTERS, StylePreset

Format = Literal["png", "jpeg", "webp"]


@dataclass(frozen=True)
class Commission:
    """One picture; sides in pixels, multiples of 64."""

    prompt: str
    style: StylePreset | None
    seed: int
    width: int
    height: int
    blurred: bool = False
    format: Format = "png"


def draw(commission: Commission) -> Image.Image:
    brief = read_brief(commission.prompt, commission.style, commission.seed, commission.width, commission.height)
    picture = PAINTERS[commission.style](brief)
    return blurred(picture) if commission.blurred else picture


def draw_file(commission: Commission) -> bytes:
    picture = draw(commission)
    if commission.format == "png":
        return encode(np.asarray(picture))
    written = io.BytesIO()
    picture.save(written, commission.format)
    return written.getvalue()
