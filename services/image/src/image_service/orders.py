"""Stored shapes: what is ordered, and what the engine is told of it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

StylePreset = Literal[
    "3d-model",
    "analog-film",
    "anime",
    "cinematic",
    "comic-book",
    "digital-art",
    "enhance",
    "fantasy-art",
    "isometric",
    "line-art",
    "low-poly",
    "modeling-compound",
    "neon-punk",
    "origami",
    "photographic",
    "pixel-art",
    "tile-texture",
]


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Order(Model):
    """What to draw."""

    prompt: str
    negative_prompt: str | None
    style_preset: StylePreset | None
    width: int
    height: int
    samples: int
    steps: int
    cfg_scale: float
    seed: int | None


class Applied(Model):
    """What the engine was told of an order; ``None`` where it has no such field."""

    engine: str
    width: int | None
    height: int | None
    aspect_ratio: str | None
    samples: int
    steps: int | None
    cfg_scale: float | None
    style_preset: StylePreset | None
    negative_prompt: str | None
    seed: int | None
