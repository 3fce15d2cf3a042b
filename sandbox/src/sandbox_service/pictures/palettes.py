"""The light of an hour and a place."""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from sandbox_service.pictures.colour import Rgb, mix, rgb, turn


@dataclass(frozen=True)
class Palette:
    """The colours of one view, from the top of the sky to what lies at one's feet."""

    zenith: Rgb
    sky: Rgb
    horizon: Rgb
    sun: Rgb
    cloud_light: Rgb
    cloud_dark: Rgb
    far: Rgb
    near: Rgb
    stars: float = 0.0
    """0 none … 1 a clear night."""
    sun_size: float = 0.05
    """Radius, as a share of the picture's shorter side."""
    aurora: float = 0.0

    def turned(self, degrees: float, chroma: float = 1.0) -> "Palette":
        """The same light in other hues."""
        colours: dict[str, Any] = {
            field.name: turn(getattr(self, field.name), degrees, chroma)
            for field in fields(self)
            if isinstance(getattr(self, field.name), np.ndarray)
        }
        return replace(self, **colours)

    def tinted(self, colour: Rgb, share: float) -> "Palette":
        """A view in which ``colour`` has its say."""
        return replace(
            self,
            sky=mix(self.sky, colour, share * 0.7),
            horizon=mix(self.horizon, colour, share),
            sun=mix(self.sun, colour, share * 0.5),
            cloud_light=mix(self.cloud_light, colour, share * 0.6),
            far=mix(self.far, colour, share * 0.8),
        )


def _palette(colours: str, *, stars: float = 0.0, sun_size: float = 0.05, aurora: float = 0.0) -> Palette:
    zenith, sky, horizon, sun, light, dark, far, near = map(rgb, colours.split())
    return Palette(zenith, sky, horizon, sun, light, dark, far, near, stars, sun_size, aurora)


#                      zenith sky    horizon sun   cloud+ cloud- far    near
PALETTES = {
    "dawn": _palette("3c5a8f 8f9ec9 f9cfb4 fff1d0 ffe3d3 9d93bb 9aa3c7 2b2f4e"),
    "morning": _palette("2f78b7 7db9de f6ead2 fffbe6 ffffff a9c0d6 8fb4cc 1d3f4a"),
    "day": _palette("1c63b8 5fa8e0 d8eef5 fffbe8 ffffff 9db7d2 7ea9c4 1f4a3a", sun_size=0.04),
    "golden": _palette("41608f c79a8b ffd28a fff0b8 ffe2ae b07a70 c98d6b 3a2326", sun_size=0.06),
    "sunset": _palette("2b2a5e 9c4a78 ff9a5a ffe6a0 ff9c78 5b3b6b b0607a 1d1430", sun_size=0.07),
    "dusk": _palette("131a40 433f7e e58a86 ffd3a8 d88fa0 3a3763 6a5a92 0e1026", stars=0.35),
    "night": _palette("050a1e 0f2146 2f5680 f4f1de 4b6a92 14233f 2a4a70 040912", stars=1.0, sun_size=0.045),
    "aurora": _palette("040b1d 0a2236 1d5a63 e9fff4 37706f 0d2a36 1d4a57 030a10", stars=0.9, aurora=1.0),
    "desert": _palette("2f7fa6 8fc0c0 ffe0a6 fff6d6 fff0d2 d0a888 e0a86c 6b2e1c", sun_size=0.06),
    "forest": _palette("5d8f8a a9c9a4 eef0c2 fffbe0 f6f8de 9fb8a0 7fa88a 10261d"),
    "snow": _palette("5d86b3 a8c4dd f4f3f0 fffaf0 ffffff b3c3d6 b9cbdd 3a5069"),
}

CINEMATIC = _palette("0b2a3a 2a5f6b f2a65a ffe0a8 f0b684 1d3d49 4f6f72 07141a", sun_size=0.055)
DIGITAL = _palette("1b1464 6a2bd0 ff6ec7 fff0a5 ffb3e6 4a2a9a 7d4be0 120a3a", stars=0.5, sun_size=0.13)
FANTASY = _palette("14123f 3d3a94 d39be0 fff3d6 e6b5e8 3f3a7c 6f63b8 120d2c", stars=0.7, sun_size=0.12, aurora=0.55)
ANIME = _palette("0d5bd0 38a0f2 c8f1ff fffdf0 ffffff 8fb8ee 57b0c8 0f6b4a", sun_size=0.05)
COMIC = _palette("1565c0 29b6f6 ffe082 fff59d ffffff 90caf9 ef6c57 3a1a5e", sun_size=0.11)
CLAY = _palette("5cc2d8 8edbe0 fde7b0 ffc83d ffffff e8d7c8 f59b7a 5a8f5c", sun_size=0.1)
PAPER = _palette("f2c9b5 f7dcc4 fbeedd ef6f5a fff7ea f1d8c4 e9a58d 2f5d73", sun_size=0.12)

COLOUR_WORDS = {
    "red": "d8342c", "crimson": "c01838", "scarlet": "e02818", "orange": "f08020", "amber": "ffb020",
    "gold": "ffc840", "golden": "ffc840", "yellow": "ffd938", "green": "3fa65a", "emerald": "18a878",
    "teal": "189a9a", "turquoise": "30c8c0", "blue": "2f6fd8", "indigo": "4038a8", "violet": "8048d0",
    "purple": "8838b8", "magenta": "d828a0", "pink": "ff88b8", "rose": "f06888", "white": "f6f6f2",
    "silver": "c0c8d0", "black": "181820", "brown": "8a5a3a",
}  # fmt: skip
