"""Ground: crests one behind the other, trees, towers, water."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sandbox_service.pictures.colour import Packed, Pixels, Rgb, pack
from sandbox_service.pictures.noise import Field, Random, crest, doubled, fractal

EDGE_ROWS = 4
"""Rows on either side of a crest in which it is smoothed; steeper than that, steps begin to show."""


@dataclass(frozen=True)
class Ridge:
    """One layer of land, from its crest down to the bottom of the picture."""

    line: Field
    """Row of the crest for each column."""
    colours: Rgb
    """Table of 256 colours from the crest downwards."""
    depth: float
    """Rows over which the table is used up."""
    relief: float = 0.0
    """How far the surface's own shape shifts the place in the table, in parts of it."""


def pack_pixels(pixels: Pixels) -> Packed:
    height, width = pixels.shape[:2]
    canvas = np.zeros((height, width, 4), dtype=np.uint8)
    canvas[..., :3] = pixels
    return canvas.view(np.uint32).reshape(height, width)


def unpack(canvas: Packed) -> Pixels:
    height, width = canvas.shape
    # Pillow drops the fourth byte faster than NumPy.
    return np.asarray(Image.frombuffer("RGBX", (width, height), canvas, "raw", "RGBX", 0, 1).convert("RGB"))


def paint_ridge(canvas: Packed, ridge: Ridge, surface: Field | None = None) -> None:
    """Lay one ridge over what is there, its crest smoothed."""
    height, width = canvas.shape
    top = max(0, int(ridge.line.min()) - EDGE_ROWS)
    if top >= height:
        return
    columns = np.arange(width)
    base = np.floor(ridge.line).astype(np.intp)
    bands = [np.clip(base + offset, 0, height - 1) for offset in range(-EDGE_ROWS, EDGE_ROWS + 1)]
    behind = [canvas[band, columns] for band in bands]
    table = pack(ridge.colours)
    part = canvas[top:]
    rows = np.arange(top, height, dtype=np.float32)[:, None]
    place = rows - ridge.line[None, :]
    land = place >= 0
    place *= 255.0 / ridge.depth
    if surface is not None and ridge.relief:
        place += surface[top:] * (255.0 * ridge.relief)
    np.clip(place, 0, 255, out=place)
    np.copyto(part, table[place.astype(np.uint8)], where=land)
    slope = np.abs(np.gradient(ridge.line))
    steep = np.minimum(np.sqrt(1.0 + slope * slope), 2.0 * EDGE_ROWS)
    for offset, band, colour in zip(range(-EDGE_ROWS, EDGE_ROWS + 1), bands, behind, strict=True):
        cover = np.clip((base + offset + 0.5 - ridge.line) / steep + 0.5, 0.0, 1.0)
        front = np.where(land[np.clip(band - top, 0, len(part) - 1), columns], canvas[band, columns], table[0])
        canvas[band, columns] = _mixed(colour, front, cover)


def _mixed(behind: Packed, front: Packed, cover: NDArray[np.floating]) -> Packed:
    mixed = np.zeros_like(behind)
    for shift in (0, 8, 16):
        one, other = (behind >> shift & 255).astype(np.float32), (front >> shift & 255).astype(np.float32)
        mixed |= (one + (other - one) * cover + 0.5).astype(np.uint32) << shift
    return mixed


def relief(random: Random, width: int, height: int, *, cells: float = 5.0, octaves: int = 6) -> Field:
    """A surface lit from the left: about -0.5…0.5."""
    # A little larger than needed: the lit side is a difference with what lies up and to the left.
    field = fractal(random, width // 2 + 4, height // 2 + 3, cells=cells, octaves=octaves, gain=0.62)
    lit = field[3:, 4:] - field[:-3, :-4]
    lit = np.clip(lit * 2.2, -0.5, 0.5).astype(np.float32)
    return np.asarray(doubled(lit)[:height, :width])


def conifers(
    random: Random, line: Field, *, count: int, tall: float, between: tuple[float, float] = (-0.02, 1.02)
) -> Field:
    """A crest with firs on it, ``tall`` rows high at most, ``between`` two shares of the width."""
    width = len(line)
    columns = np.arange(width, dtype=np.float32)
    treetops = line.copy()
    for _ in range(count):
        middle = float(random.uniform(*between) * width)
        high = tall * float(random.uniform(0.35, 1.0))
        half = high * float(random.uniform(0.16, 0.22))
        left, right = max(0, int(middle - half)), min(width, int(middle + half) + 2)
        if right <= left:
            continue
        inward = np.clip(1 - np.abs(columns[left:right] - middle) / half, 0, 1)
        # Tiers of branches: at the tip of each the outline jumps up, then climbs along its back to the next.
        tiers = 5 + high / 45
        tier, along = np.floor(inward * tiers), (inward * tiers) % 1
        climb = np.where(inward > 0, (tier + 0.35 + 0.65 * along) / (tiers + 0.35), 0)
        foot = line[min(max(int(middle), 0), width - 1)]
        treetops[left:right] = np.minimum(treetops[left:right], foot - high * np.minimum(climb, 1))
    return treetops


def castle(random: Random, line: Field, *, at: float, tall: float) -> Field:
    """A crest with towers on it."""
    width = len(line)
    columns = np.arange(width, dtype=np.float32)
    roof = line.copy()
    foot = float(line[min(int(at * width), width - 1)])
    for _ in range(7):
        middle = (at + float(random.normal(0, 0.035))) * width
        half = tall * float(random.uniform(0.05, 0.1))
        high = tall * float(random.uniform(0.4, 1.0)) * (1 - 5 * abs(middle / width - at))
        aside = np.abs(columns - middle)
        wall = np.where(aside < half, foot - high * 0.62, np.inf)
        spire = np.where(aside < half * 1.25, foot - high * 0.6 - high * 0.5 * (1 - aside / (half * 1.25)), np.inf)
        roof = np.minimum(roof, np.minimum(wall, spire)).astype(np.float32)
    return roof


def skyline(random: Random, width: int, *, ground: float, tall: float) -> Field:
    """Roofs of a city as a line of steps, with masts."""
    line = np.full(width, ground, dtype=np.float32)
    column = 0
    while column < width:
        wide = int(random.integers(max(width // 60, 6), max(width // 18, 8)))
        centre = 1 - 0.55 * abs(2 * (column + wide / 2) / width - 1)
        high = tall * float(random.uniform(0.25, 1.0)) * centre
        line[column : column + wide] = ground - high
        if random.random() < 0.35:
            mast = min(column + wide // 2, width - 2)
            line[mast : mast + 2] -= tall * 0.16
        column += wide
    return line


def reflect(random: Random, canvas: Packed, horizon: int, tint: Rgb, sun_column: float, glint: Rgb) -> None:
    """Turn everything below ``horizon`` into water that mirrors what is above."""
    height, width = canvas.shape
    rows = height - horizon
    if rows < 2:
        return
    distance = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
    waves = fractal(random, max(width // 4, 2), max(rows // 2, 2), cells=7, octaves=5, gain=0.7, stretch=9.0)
    waves = np.repeat(np.repeat(waves, 4, 1), 2, 0)
    waves = np.pad(waves, ((0, max(0, rows - len(waves))), (0, max(0, width - waves.shape[1]))), mode="edge")
    waves = waves[:rows, :width] - 0.5
    up = np.arange(rows, dtype=np.float32)[:, None] * 0.92 + waves * (6 + 60 * distance)
    source_row = np.clip(horizon - 1 - np.abs(up), 0, horizon - 1).astype(np.intp)
    shift = waves * (4 + 26 * distance)
    source_column = np.clip(np.arange(width, dtype=np.float32)[None, :] + shift, 0, width - 1).astype(np.intp)
    mirrored = canvas.reshape(-1)[source_row * width + source_column].view(np.uint8).reshape(rows, width, 4)
    cover = np.clip(0.16 + 0.5 * distance, 0, 0.62)
    aside = np.abs(np.linspace(0, 1, width, dtype=np.float32)[None, :] - sun_column)
    path = np.exp(-aside / (0.035 + 0.11 * distance)) * np.clip(waves * 6 - 0.35, 0, 1)
    for channel in range(3):
        layer = mirrored[..., channel].astype(np.float32)
        layer += (tint[channel] * 255 - layer) * cover
        layer += (glint[channel] * 255 - layer) * path
        mirrored[..., channel] = layer
    canvas[horizon:] = mirrored.view(np.uint32).reshape(rows, width)


def ridge_line(
    random: Random, width: int, *, top: float, rise: float, cells: float, sharp: float, octaves: int = 7
) -> Field:
    """A crest whose lowest points lie at row ``top`` and which rises by ``rise`` rows."""
    line = crest(random, width, cells=cells, octaves=octaves, gain=0.48, sharp=sharp)
    line = (line - line.min()) / (line.max() - line.min() + 1e-6)
    return np.asarray(top - rise * line, dtype=np.float32)
