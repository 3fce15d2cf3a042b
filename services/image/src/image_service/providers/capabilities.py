"""What each engine takes: the one table behind validation, ``options``, ``quote`` and ``applied``."""

import math
from dataclasses import dataclass
from typing import get_args

from common.errors import ErrorDetail, ValidationFailedError
from image_service.orders import Applied, Order, StylePreset
from image_service.settings import EngineName

STYLES: tuple[StylePreset, ...] = get_args(StylePreset)

SDXL_SIZES = (
    (1024, 1024),
    (1152, 896),
    (1216, 832),
    (1344, 768),
    (1536, 640),
    (640, 1536),
    (768, 1344),
    (832, 1216),
    (896, 1152),
)
"""Width and height in pixels; SDXL 1.0 draws no others."""

ASPECT_RATIOS = ("1:1", "16:9", "9:16", "21:9", "9:21", "3:2", "2:3", "5:4", "4:5")
"""Width to height, as v2beta writes them."""

LEAST_SIDE, MOST_SIDE = 64, 4096
"""Pixels in which a size may be asked for where the engine takes only its proportions."""


@dataclass(frozen=True, slots=True)
class Range:
    """What a number may be, and what it is if nobody says."""

    least: float
    most: float
    default: float

    def __contains__(self, number: float) -> bool:
        return self.least <= number <= self.most


@dataclass(frozen=True, slots=True)
class Capabilities:
    """One engine; ``None`` or nothing stands where it has no such field.

    Attributes:
        engine: Its name in the settings.
        sizes: All widths and heights it draws; empty if it takes a proportion instead.
        aspect_ratios: All proportions it takes; empty if it takes sizes.
        sides: What width and height may be where only their proportion counts.
        prompt_characters: At most, of the prompt and of the negative prompt.
        samples: Pictures of one order, at most.
        max_seed: At most; 0 is a random one.
    """

    engine: EngineName
    sizes: tuple[tuple[int, int], ...]
    aspect_ratios: tuple[str, ...]
    sides: Range | None
    prompt_characters: int
    samples: int
    steps: Range | None
    cfg_scale: Range | None
    styles: tuple[StylePreset, ...]
    max_seed: int

    @property
    def offered_sizes(self) -> tuple[tuple[int, int], ...]:
        """Sizes that can be ordered; where only the proportion counts, one for each of them."""
        return self.sizes or SDXL_SIZES

    @property
    def default_cfg_scale(self) -> float | None:
        return None if self.cfg_scale is None else self.cfg_scale.default

    def check(self, order: Order) -> None:
        """Refuse what the engine cannot draw.

        Raises:
            ValidationFailedError: It names the fields, and what they may be.
        """
        problems = [*self._wrong_texts(order), *self._wrong_size(order), *self._wrong_numbers(order)]
        if problems:
            field, text = problems[0]
            details = [ErrorDetail(field=name, message=message).model_dump() for name, message in problems]
            raise ValidationFailedError(f"{field}: {text}.", details=details)

    def applied(self, order: Order) -> Applied:
        """Say what the engine is told of an order."""
        by_size = bool(self.sizes)
        return Applied(
            engine=self.engine,
            width=order.width if by_size else None,
            height=order.height if by_size else None,
            aspect_ratio=None if by_size else self.aspect_ratio(order.width, order.height),
            samples=order.samples,
            steps=None if self.steps is None else order.steps,
            cfg_scale=None if self.cfg_scale is None else order.cfg_scale,
            style_preset=order.style_preset,
            negative_prompt=order.negative_prompt,
            seed=order.seed,
        )

    def aspect_ratio(self, width: int, height: int) -> str:
        """Return the proportion nearest to a size: as much too wide counts as much as too high."""

        def distance(ratio: str) -> float:
            across, down = map(int, ratio.split(":"))
            return abs(math.log(width / height) - math.log(across / down))

        return min(ASPECT_RATIOS, key=distance)

    def _wrong_texts(self, order: Order) -> list[tuple[str, str]]:
        texts = (("prompt", order.prompt), ("negativePrompt", order.negative_prompt or ""))
        told = f"must be at most {self.prompt_characters} characters"
        wrong = [(field, told) for field, text in texts if len(text) > self.prompt_characters]
        if order.style_preset is not None and order.style_preset not in self.styles:
            wrong.append(("stylePreset", f"must be one of {', '.join(self.styles)}"))
        return wrong

    def _wrong_size(self, order: Order) -> list[tuple[str, str]]:
        if self.sizes:
            if (order.width, order.height) in self.sizes:
                return []
            allowed = ", ".join(f"{width}x{height}" for width, height in self.sizes)
            return [(field, f"width x height must be one of {allowed}") for field in ("width", "height")]
        sides = (("width", order.width), ("height", order.height))
        return [problem for field, side in sides if (problem := _outside(field, side, self.sides))]

    def _wrong_numbers(self, order: Order) -> list[tuple[str, str]]:
        numbers: tuple[tuple[str, float | None, Range | None], ...] = (
            ("samples", order.samples, Range(1, self.samples, 1)),
            ("steps", order.steps, self.steps),
            ("cfgScale", order.cfg_scale, self.cfg_scale),
            ("seed", order.seed, Range(0, self.max_seed, 0)),
        )
        return [
            problem
            for field, number, allowed in numbers
            if number is not None and (problem := _outside(field, number, allowed))
        ]


def _outside(field: str, number: float, allowed: Range | None) -> tuple[str, str] | None:
    if allowed is None or number in allowed:
        return None
    return field, f"must be from {allowed.least:.15g} to {allowed.most:.15g}"


def _v1(engine: EngineName) -> Capabilities:
    return Capabilities(
        engine=engine,
        sizes=SDXL_SIZES,
        aspect_ratios=(),
        sides=None,
        prompt_characters=2000,
        samples=10,
        steps=Range(10, 50, 30),
        cfg_scale=Range(0, 35, 7),
        styles=STYLES,
        max_seed=4_294_967_295,
    )


def _v2beta(engine: EngineName, *, cfg_scale: Range | None = None) -> Capabilities:
    return Capabilities(
        engine=engine,
        sizes=(),
        aspect_ratios=ASPECT_RATIOS,
        sides=Range(LEAST_SIDE, MOST_SIDE, 1024),
        prompt_characters=10_000,
        # One picture a call; ten calls are what one call of v1 may ask for.
        samples=10,
        steps=None,
        cfg_scale=cfg_scale,
        styles=STYLES,
        max_seed=4_294_967_294,
    )


_LARGE, _FAST = Range(1, 10, 4), Range(1, 10, 1)

ENGINES: dict[EngineName, Capabilities] = {
    engine.engine: engine
    for engine in (
        _v1("stable-diffusion-xl-1024-v1-0"),
        _v1("stable-diffusion-xl-1024-v0-9"),
        _v2beta("core"),
        _v2beta("ultra"),
        _v2beta("sd3", cfg_scale=_LARGE),
        _v2beta("sd3.5-large", cfg_scale=_LARGE),
        _v2beta("sd3.5-large-turbo", cfg_scale=_FAST),
        _v2beta("sd3.5-medium", cfg_scale=_LARGE),
        _v2beta("sd3.5-flash", cfg_scale=_FAST),
    )
}
"""Every engine that can be chosen."""
