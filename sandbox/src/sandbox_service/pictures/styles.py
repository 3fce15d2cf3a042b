"""The vendor's style presets, and how each is painted here."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from PIL import Image

from sandbox_service.pictures import finishes, graphic, palettes
from sandbox_service.pictures.blocks import isometric
from sandbox_service.pictures.brief import Brief
from sandbox_service.pictures.landscape import Manner, paint
from sandbox_service.pictures.neon import neon_city
from sandbox_service.pictures.palettes import PALETTES
from sandbox_service.pictures.paper import origami_scene
from sandbox_service.pictures.solids import clay_scene, studio_scene

StylePreset = Literal[
    "3d-model", "analog-film", "anime", "cinematic", "comic-book", "digital-art", "enhance", "fantasy-art",
    "isometric", "line-art", "low-poly", "modeling-compound", "neon-punk", "origami", "photographic", "pixel-art",
    "tile-texture",
]  # fmt: skip

Picture = Image.Image
Painter = Callable[[Brief], Picture]

_DARK_HOURS = frozenset({"sunset", "dusk", "night", "aurora", "golden"})


def _painting(brief: Brief, manner: Manner | None = None) -> Picture:
    return Image.fromarray(paint(brief, manner or Manner()))


def plain(brief: Brief) -> Picture:
    """No preset."""
    return finishes.vignette(_painting(brief), 0.22)


def photographic(brief: Brief) -> Picture:
    picture = finishes.curve(_painting(brief, Manner(clouds=0.75)), [(0, 8), (70, 62), (190, 200), (255, 250)])
    return finishes.vignette(finishes.bloom(finishes.saturate(picture, 0.82), 0.35, 190), 0.42)


def enhance(brief: Brief) -> Picture:
    picture = finishes.curve(_painting(brief), [(0, 0), (60, 44), (128, 134), (200, 220), (255, 255)])
    return finishes.saturate(picture, 1.4)


def cinematic(brief: Brief) -> Picture:
    picture = _painting(brief, Manner(palette=palettes.CINEMATIC, clouds=0.8))
    picture = finishes.streak(finishes.vignette(picture, 0.5), 0.5)
    return finishes.letterbox(picture, 0.115)


def analog_film(brief: Brief) -> Picture:
    picture = finishes.saturate(_painting(brief), 0.7)
    picture = finishes.curve(picture, [(0, 38), (90, 104), (180, 188), (255, 236)], (1.03, 0.98, 0.86))
    picture = finishes.light_leak(brief.random("leak"), picture)
    return finishes.print_border(finishes.grain(brief.random("grain"), picture, 5), (238, 232, 218), 0.035)


def anime(brief: Brief) -> Picture:
    palette = PALETTES[brief.hour].turned(0, 1.35) if brief.hour in _DARK_HOURS else palettes.ANIME
    picture = _painting(brief, Manner(palette=palette, clouds=1.05, flat=True, bands=5, landscape_only=True))
    return finishes.bloom(picture, 0.45, 175)


def comic_book(brief: Brief) -> Picture:
    picture = _painting(brief, Manner(palette=palettes.COMIC, clouds=0.7, flat=True, bands=4, landscape_only=True))
    picture = finishes.halftone(finishes.ink(picture, 34), max(4, min(picture.size) // 128), 0.32)
    return finishes.print_border(picture, (250, 246, 235), 0.025)


def digital_art(brief: Brief) -> Picture:
    picture = finishes.saturate(_painting(brief, Manner(palette=palettes.DIGITAL, clouds=0.6)), 1.12)
    random = brief.random("motes")
    return finishes.shine(random, picture, strength=0.55, threshold=140, motes=90, colour=(255, 210, 245))


def fantasy_art(brief: Brief) -> Picture:
    manner = Manner(palette=palettes.FANTASY, clouds=0.55, castle=True)
    random = brief.random("motes")
    picture = _painting(brief, manner)
    return finishes.shine(random, picture, strength=0.5, threshold=150, motes=130, colour=(255, 236, 170))


def line_art(brief: Brief) -> Picture:
    return Image.fromarray(graphic.line_art(brief))


def low_poly(brief: Brief) -> Picture:
    small = _painting(brief.scaled(4), Manner(clouds=0.4, growth=False))
    vivid = finishes.saturate(finishes.curve(small, [(0, 0), (70, 58), (190, 208), (255, 255)]), 1.4)
    return Image.fromarray(graphic.low_poly(brief, np.asarray(vivid)))


def pixel_art(brief: Brief) -> Picture:
    scale = 8
    return graphic.pixel_art(paint(brief.scaled(scale), Manner(clouds=0.6)), scale)


def _from(drawing: Callable[[Brief], np.ndarray]) -> Painter:
    return lambda brief: Image.fromarray(drawing(brief))


PAINTERS: dict[StylePreset | None, Painter] = {
    None: plain,
    "3d-model": _from(studio_scene),
    "analog-film": analog_film,
    "anime": anime,
    "cinematic": cinematic,
    "comic-book": comic_book,
    "digital-art": digital_art,
    "enhance": enhance,
    "fantasy-art": fantasy_art,
    "isometric": _from(isometric),
    "line-art": line_art,
    "low-poly": low_poly,
    "modeling-compound": _from(clay_scene),
    "neon-punk": neon_city,
    "origami": _from(origami_scene),
    "photographic": photographic,
    "pixel-art": pixel_art,
    "tile-texture": _from(graphic.tile_texture),
}
