"""Skies: light, sun, clouds, stars, aurora. Drawn small and enlarged, for they have no edges."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from sandbox_service.pictures.colour import Pixels, Rgb, ramp, rgb, to_bytes
from sandbox_service.pictures.noise import Field, Random, crest, doubled, fractal, smoothstep, warp
from sandbox_service.pictures.palettes import Palette

SCALE = 2
"""A sky is drawn at half the size, a quarter of the work, and as three planes of colour: NumPy is faster so."""


@dataclass(frozen=True)
class Sun:
    """Where the light comes from, as shares of width and height."""

    x: float
    y: float


def sky(
    random: Random,
    palette: Palette,
    size: tuple[int, int],
    *,
    sun: Sun,
    horizon: float,
    clouds: float = 0.5,
    flat: bool = False,
) -> Pixels:
    """The sky over a horizon at ``horizon`` of the height; ``flat`` draws clouds with a hard edge, as on celluloid."""
    width, height = size[0] // SCALE, size[1] // SCALE
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    across = np.linspace(0, 1, width, dtype=np.float32)[None, :]
    table = ramp([palette.zenith, palette.sky, palette.horizon], at=[0.0, 0.55, 1.0])
    place = np.clip(down / horizon + 0.08 * np.abs(across - sun.x) - 0.04, 0, 1)
    canvas = np.take(np.ascontiguousarray(table.T), (place * 255).astype(np.intp), axis=1)
    distance = np.hypot((across - sun.x) * (width / min(size) * SCALE), (down - sun.y) * (height / min(size) * SCALE))
    distance = distance.astype(np.float32)
    strength = 0.35 if palette.stars > 0.6 else 0.75
    _screen(canvas, np.exp(distance * -4.5) * strength * 0.75 + np.exp(distance * -14.0) * strength, palette.sun)
    if palette.aurora:
        _aurora(random, canvas, palette.aurora, horizon)
    edge = 1.6 / min(width, height)
    disc = smoothstep(-edge, edge, palette.sun_size - distance)
    if palette.stars > 0.45:  # A moon has its seas.
        seas = fractal(random, width // 2 + 1, height // 2 + 1, cells=14, octaves=3)
        disc = disc * (0.86 + 0.2 * doubled(seas)[:height, :width])
    _blend(canvas, disc, palette.sun)
    if clouds > 0:
        _clouds(random, canvas, palette, distance, down / horizon, clouds, flat)
    planes = Image.merge("RGB", [Image.fromarray(plane) for plane in to_bytes(canvas)])
    pixels = np.array(planes.resize(size, Image.Resampling.BICUBIC))
    if palette.stars > 0:
        _stars(random, pixels, palette.stars, horizon, sun, palette.sun_size)
    return pixels


def _screen(canvas: Rgb, light: Field, colour: Rgb) -> None:
    """Add light as light adds: never beyond white."""
    for plane, part in zip(canvas, colour, strict=True):
        plane += (1.0 - plane) * np.minimum(light * part, 1.0)


def _blend(canvas: Rgb, cover: Field, colour: Rgb) -> None:
    for plane, part in zip(canvas, colour, strict=True):
        plane += (part - plane) * cover


def _clouds(
    random: Random, canvas: Rgb, palette: Palette, distance: Field, fall: Field, amount: float, flat: bool
) -> None:
    height, width = canvas.shape[1:]
    shape = fractal(random, width, height, cells=3.2, octaves=6, gain=0.56, stretch=2.6)
    bend = fractal(random, width, height, cells=3, octaves=3, stretch=1.5)
    field = warp(shape, bend, bend[::-1], 0.12)
    low = 0.72 - 0.3 * amount
    if flat:
        cover = smoothstep(low + 0.05, low + 0.075, field)
        lit = 0.35 + 0.65 * smoothstep(0.0, 0.02, np.roll(field, (5, 3), (0, 1)) - field + 0.015)
    else:
        cover = smoothstep(low, low + 0.33, field) * 0.95
        # Light comes from above: what is thinner than the cloud just over it lies in shadow.
        lit = np.clip(0.55 + 3.2 * (field - np.roll(field, 7, 0)), 0, 1)
    cover *= np.clip(1.15 - 0.75 * fall, 0, 1) * smoothstep(-0.05, 0.2, fall)
    lit = np.clip(lit + 0.45 * np.exp(distance * -3.0), 0, 1)
    for plane, dark, light in zip(canvas, palette.cloud_dark, palette.cloud_light, strict=True):
        plane += (dark + (light - dark) * lit - plane) * cover


def _aurora(random: Random, canvas: Rgb, strength: float, horizon: float) -> None:
    """Curtains of light that hang from winding lines."""
    height, width = canvas.shape[1:]
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    for colour, place in (("4dffb0", 0.52), ("3ad0ff", 0.36), ("b06bff", 0.24)):
        lower = (place + 0.22 * (crest(random, width, cells=3, octaves=3) - 0.5)) * horizon
        rays = 0.45 + 0.55 * crest(random, width, cells=22, octaves=3, gain=0.7)
        fade = 0.25 + 0.75 * crest(random, width, cells=2, octaves=1)
        above = (lower[None, :] - down) / (0.3 * horizon)
        light = np.where(above > 0, np.exp(-3.2 * above), np.exp(14.0 * above)) * (rays * fade)[None, :]
        _screen(canvas, light * (0.75 * strength), rgb(colour))


def _stars(random: Random, pixels: Pixels, amount: float, horizon: float, sun: Sun, sun_size: float) -> None:
    height, width = pixels.shape[:2]
    count = int(width * height * 0.0011 * amount)
    rows = (random.random(count) ** 1.3 * height * horizon * 0.95).astype(np.intp)
    columns = random.integers(0, width, count)
    short = min(width, height)
    away = np.hypot(columns - sun.x * width, rows - sun.y * height) > short * (sun_size + 0.02)
    rows, columns = rows[away], columns[away]
    light = (random.random(len(rows)) ** 5 * 215 + 40) * (1 - rows / (height * horizon))
    tint = np.stack([light, light * 0.97, np.minimum(light * 1.08, 255)], axis=-1)
    pixels[rows, columns] = np.minimum(pixels[rows, columns] + tint, 255).astype(np.uint8)
    for row, column, value in zip(rows[light > 190], columns[light > 190], light[light > 190], strict=True):
        for reach in (1, 2):
            for near_row, near_column in (
                (row - reach, column),
                (row + reach, column),
                (row, column - reach),
                (row, column + reach),
            ):
                if 0 <= near_row < height and 0 <= near_column < width:
                    spot = pixels[near_row, near_column]
                    pixels[near_row, near_column] = np.minimum(spot + value * 0.5 / reach, 255).astype(np.uint8)
