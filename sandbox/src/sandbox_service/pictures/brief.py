"""What a prompt asks a painter for: a kind of scene, an hour, a colour; and chance for the rest."""

import re
from dataclasses import dataclass, replace

from sandbox_service.pictures.colour import rgb
from sandbox_service.pictures.noise import Random, random_of
from sandbox_service.pictures.palettes import COLOUR_WORDS, PALETTES, Palette

SCENES = ("cosmos", "city", "lake", "dunes", "mountains", "forest", "silk")
"""Where a prompt names several, the first of these: a fox in the mountains, a forest by a lake."""

_SCENE_WORDS = {
    "mountains": "mountain mountains peak peaks alps hill hills valley dragon cliff volcano castle canyon wolf eagle",
    "lake": "lake sea ocean beach water river island boat ship harbor coast wave waves lighthouse whale fish sail",
    "dunes": "desert dune dunes sand sahara camel kite oasis mars",
    "forest": "forest wood woods tree trees jungle fox bear deer garden cabin owl bird rabbit squirrel meadow",
    "cosmos": "space galaxy planet planets nebula astronaut cosmos universe rocket alien orbit",
    "silk": "abstract silk fabric flow pattern marble smoke liquid portrait flower rose face dream energy",
    "city": "city town street skyline tokyo york cyberpunk robot car neon tower building skyscraper night-club",
}
_HOUR_WORDS = {
    "dawn": "dawn sunrise mist misty fog foggy",
    "morning": "morning spring fresh",
    "day": "day noon sunny summer bright",
    "golden": "golden autumn fall warm",
    "sunset": "sunset evening romantic fire",
    "dusk": "dusk twilight",
    "night": "night midnight moonlight moon dark stars",
    "aurora": "aurora northern lights magic magical",
    "desert": "desert sahara sand",
    "forest": "forest jungle rain rainy",
    "snow": "snow snowy winter ice frozen arctic",
}
_HOURS_BY_CHANCE = ("dawn", "morning", "day", "golden", "golden", "sunset", "sunset", "dusk", "night", "aurora", "snow")


def _by_word(words: dict[str, str]) -> dict[str, str]:
    return {word: name for name, several in words.items() for word in several.split()}


_SCENE_OF = _by_word(_SCENE_WORDS)
_HOUR_OF = _by_word(_HOUR_WORDS)


@dataclass(frozen=True)
class Brief:
    """One picture to be made."""

    width: int
    height: int
    scene: str
    hour: str
    accent: str | None
    """A colour the prompt names, as hex."""
    seed_text: str

    def random(self, purpose: str) -> Random:
        """Chance for one purpose, the same whatever else is drawn."""
        return random_of(self.seed_text, purpose)

    def scaled(self, divisor: int) -> "Brief":
        """The same picture, so many times smaller."""
        return replace(self, width=self.width // divisor, height=self.height // divisor)

    def palette(self, given: Palette | None = None) -> Palette:
        """The hour's colours (or a style's own), shifted a little by chance and towards the prompt's colour."""
        random = self.random("palette")
        palette = given or PALETTES[self.hour]
        palette = palette.turned(float(random.normal(0, 9 if given is None else 14)), float(random.uniform(0.9, 1.15)))
        return palette if self.accent is None else palette.tinted(rgb(self.accent), 0.4)


def read_brief(prompt: str, style: str | None, seed: int, width: int, height: int) -> Brief:
    words = re.findall(r"[a-z]+", prompt.lower())
    seed_text = f"{seed}|{style}|{' '.join(prompt.split())}"
    random = random_of(seed_text, "brief")
    scene = min((_SCENE_OF[word] for word in words if word in _SCENE_OF), key=SCENES.index, default=None)
    hour = next((_HOUR_OF[word] for word in words if word in _HOUR_OF), None)
    by_chance = ("mountains", "mountains", "lake", "lake", "forest", "dunes", "cosmos", "silk")
    scene_by_chance = by_chance[int(random.integers(len(by_chance)))]
    hour_by_chance = _HOURS_BY_CHANCE[int(random.integers(len(_HOURS_BY_CHANCE)))]
    if hour is None and scene == "dunes":
        hour = ("desert", "golden", "sunset", "night")[int(random.integers(4))]
    accent = next((COLOUR_WORDS[word] for word in words if word in COLOUR_WORDS), None)
    return Brief(width, height, scene or scene_by_chance, hour or hour_by_chance, accent, seed_text)
