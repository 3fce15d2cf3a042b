"""What ``stable-image/generate`` takes, and how it says no."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from sandbox_service.multipart import parse_multipart
from sandbox_service.pictures.draw import Format
from sandbox_service.pictures.styles import StylePreset
from sandbox_service.stability.errors import V2BetaError

MAX_SEED = 4_294_967_294

AspectRatio = Literal["16:9", "1:1", "21:9", "2:3", "3:2", "4:5", "5:4", "9:16", "9:21"]
Model = Literal["sd3.5-large", "sd3.5-large-turbo", "sd3.5-medium", "sd3.5-flash"]

CREDITS: dict[str, float] = {
    "core": 3,
    "ultra": 8,
    "sd3.5-large": 6.5,
    "sd3.5-large-turbo": 4,
    "sd3.5-medium": 3.5,
    "sd3.5-flash": 2.5,
}

Size = tuple[int, int]
_ONE_MEGAPIXEL: dict[str, Size] = {
    "1:1": (1024, 1024), "5:4": (1152, 896), "3:2": (1216, 832), "16:9": (1344, 768), "21:9": (1536, 640),
}  # fmt: skip
_ONE_AND_A_HALF: dict[str, Size] = {
    "1:1": (1216, 1216), "5:4": (1344, 1088), "3:2": (1536, 1024), "16:9": (1600, 896), "21:9": (1792, 768),
}  # fmt: skip
"""The vendor says how many pixels there are, not which: these are ours, in steps of 64."""


def _number(text: object) -> object:
    """A form has only text; digits, or what else Python would take for a number, are not all the same."""
    if isinstance(text, str) and text.isascii() and text == text.strip() and "_" not in text:
        return text
    raise ValueError("must be a number")


class V2BetaOrder(BaseModel):
    """The fields of a form that all three addresses take."""

    model_config = ConfigDict(extra="ignore")

    prompt: str = Field(min_length=1, max_length=10_000)
    negative_prompt: str = Field(default="", max_length=10_000)
    aspect_ratio: AspectRatio = "1:1"
    seed: Annotated[int, BeforeValidator(_number), Field(ge=0, le=MAX_SEED)] = 0
    style_preset: StylePreset | None = None
    output_format: Format = "png"

    @property
    def credits(self) -> float:
        return CREDITS["core"]

    @property
    def size(self) -> Size:
        return _turned(_ONE_AND_A_HALF, self.aspect_ratio)


class CoreOrder(V2BetaOrder):
    """``core``: 1.5 megapixels."""


class UltraOrder(V2BetaOrder):
    """``ultra``: 1 megapixel; takes a picture to begin with, which is not looked at here."""

    image: str | None = None
    strength: Annotated[float, BeforeValidator(_number), Field(ge=0, le=1, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _strength_with_image(self) -> "UltraOrder":
        if self.image is not None and self.strength is None:
            raise ValueError("strength: is required")
        return self

    @property
    def credits(self) -> float:
        return CREDITS["ultra"]

    @property
    def size(self) -> Size:
        return _turned(_ONE_MEGAPIXEL, self.aspect_ratio)


class Sd3Order(UltraOrder):
    """``sd3``: 1 megapixel, by one of several models."""

    output_format: Literal["png", "jpeg"] = "png"
    model: Model = "sd3.5-large"
    mode: Literal["text-to-image", "image-to-image"] = "text-to-image"
    cfg_scale: Annotated[float, BeforeValidator(_number), Field(ge=1, le=10, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _image_with_mode(self) -> "Sd3Order":
        if self.mode == "image-to-image" and self.image is None:
            raise ValueError("image: is required")
        return self

    @property
    def credits(self) -> float:
        return CREDITS[self.model]


def read_order(kind: type[V2BetaOrder], body: bytes, content_type: str) -> V2BetaOrder:
    """The order in a request's form.

    Raises:
        V2BetaError: 400 with the field.
    """
    try:
        parts = parse_multipart(body, content_type)
    except ValueError as error:
        raise V2BetaError(400, "bad_request", "content-type: must be multipart/form-data") from error
    try:
        return kind.model_validate(
            {part.name: part.file if part.file is not None else part.content.decode() for part in parts}
        )
    except UnicodeDecodeError as error:
        raise V2BetaError(400, "bad_request", "body: is not valid UTF-8") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        text = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:
            raise V2BetaError(400, "bad_request", text) from error
        reason = "is required" if first["type"] == "missing" else text[:1].lower() + text[1:]
        raise V2BetaError(400, "bad_request", f"{first['loc'][0]}: {reason}") from error


def _turned(sizes: dict[str, Size], aspect_ratio: str) -> Size:
    """The size of a proportion; upright ones are the others turned."""
    if aspect_ratio in sizes:
        return sizes[aspect_ratio]
    across, down = aspect_ratio.split(":")
    width, height = sizes[f"{down}:{across}"]
    return height, width
