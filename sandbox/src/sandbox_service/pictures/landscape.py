"""Views: a sky, land in layers that fade with distance, perhaps water, perhaps a wood in front."""

from dataclasses import dataclass

import numpy as np

from sandbox_service.pictures.abstract import cosmos, silk
from sandbox_service.pictures.brief import Brief
from sandbox_service.pictures.colour import Pixels, mix, ramp
from sandbox_service.pictures.noise import Field, crest
from sandbox_service.pictures.palettes import Palette
from sandbox_service.pictures.sky import Sun, sky
from sandbox_service.pictures.terrain import (
    Ridge,
    castle,
    conifers,
    pack_pixels,
    paint_ridge,
    reflect,
    relief,
    ridge_line,
    skyline,
    unpack,
)  # fmt: skip


@dataclass(frozen=True)
class Manner:
    """How a style paints a view."""

    palette: Palette | None = None
    """Instead of the hour's."""
    clouds: float = 0.5
    flat: bool = False
    """Surfaces without texture, clouds with a hard edge."""
    bands: int = 0
    """So many tones from light to dark instead of a smooth way, as in cel painting; 0 for smooth."""
    castle: bool = False
    growth: bool = True
    """Trees and roofs on the crests."""
    landscape_only: bool = False
    """No nebulae and no cloth, whatever the prompt says."""


def paint(brief: Brief, manner: Manner) -> Pixels:
    """The scene of a brief."""
    palette = brief.palette(manner.palette)
    if brief.scene == "cosmos" and not manner.landscape_only:
        return cosmos(brief, palette)
    if brief.scene == "silk" and not manner.landscape_only:
        return silk(brief, palette)
    return view(brief, palette, manner)


def view(brief: Brief, palette: Palette, manner: Manner) -> Pixels:
    random, width, height = brief.random("view"), brief.width, brief.height
    horizon = float(random.uniform(0.56, 0.68))
    sun = Sun(_golden(random.random()), horizon * float(random.uniform(0.3, 0.82)))
    if palette.stars > 0.6 or palette.sun_size > 0.1:
        sun = Sun(sun.x, horizon * float(random.uniform(0.28, 0.55)))
    clouds = manner.clouds * float(random.uniform(0.55, 1.3))
    pixels = sky(
        brief.random("sky"), palette, (width, height), sun=sun, horizon=horizon, clouds=clouds, flat=manner.flat
    )
    canvas = pack_pixels(pixels)
    surface = None if manner.flat else relief(brief.random("relief"), width, height)
    water = brief.scene == "lake"
    for ridge in _ridges(brief, palette, horizon, water, manner):
        paint_ridge(canvas, ridge, surface)
    if water:
        level = int(horizon * height) + max(2, height // 90)
        tint = mix(palette.zenith, palette.near, 0.45)
        reflect(brief.random("water"), canvas, level, tint, sun.x, palette.sun)
        _shore(brief, canvas, palette)
    return unpack(canvas)


def _golden(chance: float) -> float:
    """Left or right of the middle, near the golden section."""
    side = 0.32 if chance < 0.5 else 0.68
    return side + (chance * 2 % 1 - 0.5) * 0.16


def _ridges(brief: Brief, palette: Palette, horizon: float, water: bool, manner: Manner) -> list[Ridge]:
    random, width, height = brief.random("ridges"), brief.width, brief.height
    dunes = brief.scene == "dunes"
    layers = int(random.integers(3, 5)) if water else int(random.integers(5, 7))
    ridges = []
    for layer in range(layers):
        near = layer / max(layers - 1, 1)
        if water:
            top, rise = horizon + 0.012, (0.3 - 0.22 * near) * float(random.uniform(0.75, 1.15))
        else:
            top = horizon + 0.05 + 0.42 * near**1.15
            rise = (0.3 - 0.1 * near) * float(random.uniform(0.7, 1.2))
        if dunes:
            rise *= 0.55
        sharp = 0.05 if dunes else 0.75 * (1 - near) * (0.3 if brief.scene == "forest" else 1.0)
        line = ridge_line(
            random,
            width,
            top=top * height,
            rise=rise * height,
            cells=float(random.uniform(1.2, 2.2)) * (1.0 if dunes else 1.5),
            sharp=sharp,
            octaves=3 if dunes else 7,
        )
        if manner.growth:
            line = _grow(brief, line, layer, layers, manner)
        body = mix(palette.far, palette.near, near**1.25)
        lit = mix(body, palette.sun, 0.2 * (1 - near) + 0.05)
        haze = mix(body, palette.horizon, 0.62 * (1 - near) + 0.12)
        deep = mix(body, palette.near, 0.5)
        colours = ramp([lit, body, haze] if near < 0.8 else [body, mix(body, palette.near, 0.7), deep], at=[0, 0.25, 1])
        if manner.bands:
            colours = colours[(np.arange(256) * manner.bands // 256) * 255 // (manner.bands - 1)]
        ridges.append(Ridge(line, colours, height * (0.3 - 0.08 * near), 0.5 if not manner.flat else 0.0))
    return ridges


def _grow(brief: Brief, line: Field, layer: int, layers: int, manner: Manner) -> Field:
    """Trees, towers and roofs on a crest."""
    random, height = brief.random(f"growth {layer}"), brief.height
    last = layer == layers - 1
    if manner.castle and layer == 1:
        return castle(random, line, at=float(random.uniform(0.3, 0.7)), tall=0.2 * height)
    if brief.scene == "city" and layer in {1, 2, 3}:
        roofs = skyline(random, len(line), ground=0, tall=(0.2 + 0.07 * layer) * height)
        return np.asarray(line + roofs, dtype=np.float32)
    if brief.scene == "forest" and layer >= 1:
        return conifers(random, line, count=90 - 13 * layer, tall=(0.05 + 0.055 * layer) * height)
    if brief.scene in {"mountains", "lake"} and (last or layer == layers - 2) and random.random() < 0.75:
        return conifers(random, line, count=70, tall=(0.05 if brief.scene == "lake" else 0.11) * height)
    return line


def _shore(brief: Brief, canvas: np.ndarray, palette: Palette) -> None:
    """A dark bank with grass and firs at the near side of the water."""
    random, width, height = brief.random("shore"), brief.width, brief.height
    bank = crest(random, width, cells=1.6, octaves=5, sharp=0.1)
    across = np.linspace(0, 1, width, dtype=np.float32)
    left = bool(random.random() < 0.5)
    rise = (1 - across if left else across) ** 2.2
    line = (height * (1.06 - 0.09 * bank - 0.2 * rise)).astype(np.float32)
    place = (-0.02, 0.36) if left else (0.64, 1.02)
    line = conifers(random, line, count=int(random.integers(4, 9)), tall=0.36 * height, between=place)
    dark = mix(palette.near, palette.zenith, 0.12)
    paint_ridge(canvas, Ridge(line, ramp([dark, palette.near]), 0.3 * height))
