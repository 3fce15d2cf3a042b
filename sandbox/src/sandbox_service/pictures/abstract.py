"""Pictures without a horizon: nebulae with a planet, and cloth that flows."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from sandbox_service.pictures.brief import Brief
from sandbox_service.pictures.colour import Pixels, Rgb, mix, ramp, rgb, to_bytes, turn
from sandbox_service.pictures.noise import Field, Random, fractal, smoothstep, warp
from sandbox_service.pictures.palettes import Palette


@dataclass(frozen=True)
class Planet:
    """A banded ball, lit from the upper left."""

    x: float
    y: float
    radius: float
    colour: Rgb
    ring_colour: Rgb | None


def cosmos(brief: Brief, palette: Palette) -> Pixels:
    """A nebula, many stars, one planet."""
    random, width, height = brief.random("cosmos"), brief.width, brief.height
    half = (width // 2, height // 2)
    gas = fractal(random, *half, cells=2.4, octaves=6, gain=0.56)
    bend = fractal(random, *half, cells=2, octaves=4)
    other = fractal(random, *half, cells=2, octaves=4)
    gas = warp(gas, bend, other, 0.55)
    dust = warp(fractal(random, *half, cells=4, octaves=5, gain=0.6), other, bend, 0.4)
    base = turn(mix(palette.sky, rgb("5038c8"), 0.35), float(random.uniform(-50, 50)), 1.25)
    warm = turn(mix(palette.horizon, rgb("ff8a5a"), 0.3), float(random.uniform(-40, 40)), 1.2)
    night = rgb("04050f")
    table = ramp(
        [night, mix(night, base, 0.35), base, mix(base, warm, 0.6), warm, rgb("fff4e0")],
        at=[0, 0.3, 0.52, 0.7, 0.86, 1],
    )
    light = np.clip(gas * 1.05 - 0.42 * smoothstep(0.45, 0.85, dust), 0, 1)
    canvas = table[(light * 255).astype(np.intp)]
    planet = Planet(
        x=width * float(random.choice([0.34, 0.66])),
        y=height * float(random.uniform(0.4, 0.6)),
        radius=min(width, height) * float(random.uniform(0.14, 0.23)),
        colour=turn(warm, float(random.uniform(60, 200))),
        ring_colour=mix(base, rgb("ffe8c8"), 0.7) if random.random() < 0.7 else None,
    )
    _halo(canvas, planet)
    pixels = np.array(Image.fromarray(to_bytes(canvas)).resize((width, height), Image.Resampling.BICUBIC))
    _sprinkle(random, pixels, int(width * height * 0.0022))
    _paint_planet(random, pixels, planet)
    return pixels


def _halo(canvas: Rgb, planet: Planet) -> None:
    """Light in the planet's air; ``canvas`` has half the size."""
    height, width = canvas.shape[:2]
    x = (np.arange(width, dtype=np.float32)[None, :] * 2 - np.float32(planet.x)) / np.float32(planet.radius)
    y = (np.arange(height, dtype=np.float32)[:, None] * 2 - np.float32(planet.y)) / np.float32(planet.radius)
    away = np.sqrt(x * x + y * y)
    light = np.exp(np.maximum(away - 1, 0) * -7) * np.clip(0.75 - 0.5 * (x + y), 0, 1) * 0.5
    canvas += (1 - canvas) * light[..., None] * mix(planet.colour, rgb("ffffff"), 0.35)


def _sprinkle(random: Random, pixels: Pixels, count: int) -> None:
    height, width = pixels.shape[:2]
    rows, columns = random.integers(1, height - 1, count), random.integers(1, width - 1, count)
    light = random.random(count) ** 6 * 225 + 30
    bright = light > 150
    for row_offset, column_offset, share in ((0, 0, 1.0), (0, 1, 0.45), (0, -1, 0.45), (1, 0, 0.45), (-1, 0, 0.45)):
        chosen = slice(None) if share == 1.0 else bright
        row, column = rows[chosen] + row_offset, columns[chosen] + column_offset
        glow = (light[chosen] * share)[:, None]
        pixels[row, column] = np.minimum(pixels[row, column] + glow, 255).astype(np.uint8)


def _paint_planet(random: Random, pixels: Pixels, planet: Planet) -> None:
    tilt = 0.42
    patch, x, y = _around(pixels, planet, 1.0)
    square = x * x + y * y
    z = np.sqrt(np.maximum(1 - square, 0))
    latitude = y * np.float32(np.cos(tilt)) + x * np.float32(np.sin(tilt))
    swirl = fractal(random, x.shape[1], y.shape[0], cells=5, octaves=4, stretch=2.2) - 0.5
    bands = ramp(
        [turn(planet.colour, float(random.normal(0, 22)), 0.9) * float(random.uniform(0.75, 1.1)) for _ in range(9)]
    )
    surface = bands[np.clip((latitude * 0.5 + 0.5 + swirl * 0.07) * 255, 0, 255).astype(np.intp)]
    lit = np.clip(-0.62 * x - 0.52 * y + 0.58 * z, 0, 1) + 0.035
    rim = (1 - z) ** 3 * np.clip(0.5 - 0.6 * (x + y), 0, 1)
    edge = np.clip((1 - np.sqrt(square)) * planet.radius + 0.5, 0, 1)
    glow = mix(planet.colour, rgb("ffffff"), 0.6) * 255
    for channel in range(3):
        ball = np.minimum(surface[..., channel] * lit * 255 + rim * glow[channel], 255)
        patch[..., channel] = patch[..., channel] * (1 - edge) + ball * edge
    if planet.ring_colour is not None:
        _paint_ring(random, pixels, planet, planet.ring_colour, tilt)


def _paint_ring(random: Random, pixels: Pixels, planet: Planet, colour: Rgb, tilt: float) -> None:
    patch, x, y = _around(pixels, planet, 2.1, 1.15)
    cosine, sine = np.float32(np.cos(tilt)), np.float32(np.sin(tilt))
    along, latitude = x * cosine - y * sine, y * cosine + x * sine
    distance = np.sqrt(along * along + (latitude * np.float32(1 / 0.27)) ** 2)
    # 300 steps from 1.25 to 2.1 radii: soft borders, and grooves of different density between them.
    steps = np.linspace(1.25, 2.1, 300, dtype=np.float32)
    grooves = np.interp(np.arange(300), np.arange(0, 300, 4), random.random(75) * 0.6 + 0.35)
    table = (smoothstep(1.27, 1.33, steps) * (1 - smoothstep(2.0, 2.09, steps)) * grooves).astype(np.float32)
    table[0] = table[-1] = 0
    cover = table[np.clip((distance - 1.25) * (299 / 0.85), 0, 299).astype(np.intp)] * np.float32(0.85)
    cover *= ~((latitude < 0) & (x * x + y * y < 1))
    shadow = ((x * 0.77 + y * 0.64) > 0) & (np.abs(x * 0.64 - y * 0.77) < 1) & (latitude < 0)
    light = np.where(shadow, np.float32(60), np.float32(255))
    for channel in range(3):
        patch[..., channel] = patch[..., channel] * (1 - cover) + light * colour[channel] * cover


def _around(pixels: Pixels, planet: Planet, wide: float, high: float | None = None) -> tuple[Pixels, Field, Field]:
    """The part of the picture around a planet, and its coordinates in planet's radii."""
    height, width = pixels.shape[:2]
    reach, rise = planet.radius * wide + 2, planet.radius * (high or wide) + 2
    left, right = max(0, int(planet.x - reach)), min(width, int(planet.x + reach))
    top, bottom = max(0, int(planet.y - rise)), min(height, int(planet.y + rise))
    x = (np.arange(left, right, dtype=np.float32)[None, :] - np.float32(planet.x)) / np.float32(planet.radius)
    y = (np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(planet.y)) / np.float32(planet.radius)
    return pixels[top:bottom, left:right], x, y


def silk(brief: Brief, palette: Palette) -> Pixels:
    """Folds of cloth: noise bent by noise bent by noise, lit from the upper left."""
    random, width, height = brief.random("silk"), brief.width, brief.height
    half = (width // 2, height // 2)
    one = fractal(random, *half, cells=1.6, octaves=3, gain=0.4)
    two = fractal(random, *half, cells=1.8, octaves=3, gain=0.4)
    folded = warp(one, two, one[::-1], 0.8, smooth=True)
    folded = warp(folded, one, two, 0.5, smooth=True)
    waves = np.sin(folded * float(random.uniform(11, 17)) + two * 4.0)
    down, across = np.gradient(waves)
    scale = half[0] / 40
    slope_x, slope_y = across * scale, down * scale
    normal = 1.0 / np.sqrt(1 + slope_x**2 + slope_y**2)
    diffuse = np.clip((0.55 * slope_x + 0.62 * slope_y + 0.9) * normal, 0, 1.35)
    shine = np.clip((0.42 * slope_x + 0.5 * slope_y + 0.85) * normal, 0, 1) ** 22
    accent = turn(palette.horizon, float(random.uniform(-70, 70)), 1.25)
    table = ramp(
        [mix(palette.near, palette.zenith, 0.5), palette.zenith, palette.sky, accent, palette.horizon, palette.sun]
    )
    tone = np.clip(0.5 + 0.34 * waves * (0.5 + two) + 0.55 * (folded - 0.5), 0, 1)
    canvas = table[(tone * 255).astype(np.intp)] * (0.42 + 0.66 * diffuse)[..., None].astype(np.float32)
    canvas += (shine * 0.33)[..., None] * palette.sun
    return np.array(Image.fromarray(to_bytes(canvas)).resize((width, height), Image.Resampling.BICUBIC))
