"""An island of blocks, as in isometric drawing."""

import numpy as np
from PIL import Image, ImageDraw

from sandbox_service.pictures.brief import Brief
from sandbox_service.pictures.colour import Pixels, Rgb, mix, ramp, rgb, to_bytes, turn
from sandbox_service.pictures.noise import Random, fractal
from sandbox_service.pictures.palettes import Palette

COUNT = 20
"""Blocks along a side."""

_WATER = 1
_SHADES = (1.0, 0.8, 0.6)
"""Roof, left wall, right wall."""


def isometric(brief: Brief) -> Pixels:
    """Seen from a corner of the sky, two columns wide for one row down."""
    random, width, height = brief.random("blocks"), brief.width, brief.height
    palette = brief.palette()
    bodies = _materials(random, palette)
    axis = np.linspace(-1, 1, COUNT)
    slope = 0.17 - 0.42 * (axis[None, :] ** 2 + axis[:, None] ** 2)
    land = fractal(random, COUNT, COUNT, cells=3.4, octaves=3) * 1.05 + slope
    levels = np.clip((land * 9).astype(np.intp), _WATER, 9)
    image = _backdrop(palette, width, height)
    draw = ImageDraw.Draw(image)
    half = max(4.0, float(int(min(width / (COUNT * 2.0 + 0.6), height / (COUNT * 1.42))) // 2 * 2))
    step = half * 0.7
    top = (height - COUNT * half) / 2 + 1.2 * step
    for depth in range(2 * COUNT - 1):
        for row in range(max(0, depth - COUNT + 1), min(COUNT, depth + 1)):
            column = depth - row
            level = int(levels[row, column])
            x, y = width / 2 + (column - row) * half, top + depth * half / 2
            body = bodies[level] * np.float32((0.965 if (row + column) % 2 else 1.0) * random.uniform(0.97, 1.0))
            at_rim = row == COUNT - 1 or column == COUNT - 1
            _block(draw, x, y - level * step, y + half + (2.4 * step if at_rim else 0), half, body)
            if level in {3, 4, 5} and random.random() < 0.26:
                _fir(draw, x, y - level * step + half / 2, half, turn(bodies[4], 12, 0.9) * np.float32(0.72))
    return np.asarray(image)


def _materials(random: Random, palette: Palette) -> list[Rgb]:
    """The colour of each level, from the sea to the snow."""
    grass = turn(mix(rgb("86d052"), palette.sky, 0.1), float(random.uniform(-30, 25)))
    deep = rgb("2f6b3a")
    sand, rock = mix(rgb("f6d992"), palette.horizon, 0.2), mix(rgb("948ea0"), palette.far, 0.25)
    sea, snow = mix(rgb("38b6e8"), palette.sky, 0.2), rgb("f7f9fb")
    return [sea, sea, sand, grass, mix(grass, deep, 0.25), mix(grass, deep, 0.5), rock, rock, snow, snow]


def _backdrop(palette: Palette, width: int, height: int) -> Image.Image:
    table = ramp([mix(palette.zenith, palette.sky, 0.5), palette.sky, mix(palette.horizon, rgb("ffffff"), 0.25)])
    rows = to_bytes(table[np.linspace(0, 255, height).astype(np.intp)])
    return Image.fromarray(np.ascontiguousarray(np.broadcast_to(rows[:, None, :], (height, width, 3))))


def _block(draw: ImageDraw.ImageDraw, x: float, y: float, base: float, half: float, body: Rgb) -> None:
    """A block whose roof's back corner is at ``x, y`` and which stands at row ``base``."""
    quarter = half / 2
    light, middle, dark = (_ink(body, share) for share in _SHADES)
    draw.polygon([(x - half, y + quarter), (x, y + half), (x, base), (x - half, base - quarter)], fill=middle)
    draw.polygon([(x + half, y + quarter), (x, y + half), (x, base), (x + half, base - quarter)], fill=dark)
    draw.polygon([(x, y), (x + half, y + quarter), (x, y + half), (x - half, y + quarter)], fill=light)


def _fir(draw: ImageDraw.ImageDraw, x: float, y: float, half: float, body: Rgb) -> None:
    light, dark = _ink(body, 1.2), _ink(body, 0.8)
    for lift, wide in ((0.15, 0.55), (0.65, 0.42), (1.1, 0.3)):
        foot, tip = y - half * lift, y - half * (lift + 0.95)
        draw.polygon([(x - half * wide, foot), (x, tip), (x, foot + half * 0.14)], fill=light)
        draw.polygon([(x + half * wide, foot), (x, tip), (x, foot + half * 0.14)], fill=dark)


def _ink(body: Rgb, share: float) -> tuple[int, int, int]:
    red, green, blue = to_bytes(body * np.float32(share)).tolist()
    return red, green, blue
