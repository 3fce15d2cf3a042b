"""Colours: mixed in OKLab (Björn Ottosson, 2020), where the way from blue to gold does not lead through grey."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sandbox_service.pictures.noise import Field

Pixels = NDArray[np.uint8]
"""Rows, columns, red-green-blue."""
Packed = NDArray[np.uint32]
"""One pixel a number, 0x00BBGGRR: quick to look up and to mask."""
Rgb = NDArray[np.float32]
"""Red, green, blue in 0…1 (sRGB) along the last axis."""

_TO_LMS = np.array(
    [[0.4122214708, 0.5363325363, 0.0514459929],
     [0.2119034982, 0.6806995451, 0.1073969566],
     [0.0883024619, 0.2817188376, 0.6299787005]]
)  # fmt: skip
_TO_LAB = np.array(
    [[0.2104542553, 0.7936177850, -0.0040720468],
     [1.9779984951, -2.4285922050, 0.4505937099],
     [0.0259040371, 0.7827717662, -0.8086757660]]
)  # fmt: skip
_FROM_LAB = np.linalg.inv(_TO_LAB)
_FROM_LMS = np.linalg.inv(_TO_LMS)


def rgb(text: str) -> Rgb:
    """``"ff8800"`` as red, green, blue."""
    return np.array([int(text[i : i + 2], 16) / 255 for i in (0, 2, 4)], dtype=np.float32)


def to_oklab(colour: Rgb) -> Rgb:
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    return np.asarray(np.cbrt(linear @ _TO_LMS.T) @ _TO_LAB.T, dtype=np.float32)


def from_oklab(lab: Rgb) -> Rgb:
    linear = np.clip((lab @ _FROM_LAB.T) ** 3 @ _FROM_LMS.T, 0.0, 1.0)
    colour = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(colour, dtype=np.float32)


def mix(one: Rgb, other: Rgb, share: float) -> Rgb:
    """``one`` with ``share`` of ``other``."""
    return from_oklab(to_oklab(one) * (1 - share) + to_oklab(other) * share)


def turn(colour: Rgb, degrees: float, chroma: float = 1.0) -> Rgb:
    """The same lightness at another hue."""
    lab = to_oklab(colour)
    angle = np.deg2rad(degrees)
    a = (lab[..., 1] * np.cos(angle) - lab[..., 2] * np.sin(angle)) * chroma
    b = (lab[..., 1] * np.sin(angle) + lab[..., 2] * np.cos(angle)) * chroma
    return from_oklab(np.stack([lab[..., 0], a, b], axis=-1))


def ramp(colours: Sequence[Rgb], steps: int = 256, at: Sequence[float] | None = None) -> Rgb:
    """A table of ``steps`` colours that leads through ``colours``, evenly or ``at`` 0…1."""
    places = np.linspace(0, 1, len(colours)) if at is None else np.asarray(at)
    labs = to_oklab(np.stack(colours))
    positions = np.linspace(0, 1, steps)
    return from_oklab(np.stack([np.interp(positions, places, labs[:, i]) for i in range(3)], axis=-1))


def to_bytes(colours: Rgb) -> Pixels:
    return (np.clip(colours, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def pack(colours: Rgb) -> Packed:
    """A table of colours as single numbers."""
    levels = to_bytes(colours).astype(np.uint32)
    return np.asarray(levels[..., 0] | levels[..., 1] << 8 | levels[..., 2] << 16, dtype=np.uint32)


def index_of(field: Field, steps: int = 256) -> NDArray[np.intp]:
    """0…1 as places in a table of ``steps``."""
    return np.clip(field * (steps - 1), 0, steps - 1).astype(np.intp)
