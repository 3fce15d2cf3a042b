"""What ``text-to-image`` takes, and how it says no."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sandbox_service.pictures.styles import StylePreset
from sandbox_service.stability.errors import StabilityError
from sandbox_service.vendor import parse_json

ENGINE = "stable-diffusion-xl-1024-v1-0"
"""The one engine left on v1; ``stable-diffusion-v1-6`` went on 24 July 2025."""

SIZES = (
    (1024, 1024), (1152, 896), (1216, 832), (1344, 768), (1536, 640),
    (640, 1536), (768, 1344), (832, 1216), (896, 1152),
)  # fmt: skip

Sampler = Literal[
    "DDIM", "DDPM", "K_DPMPP_2M", "K_DPMPP_2S_ANCESTRAL", "K_DPM_2", "K_DPM_2_ANCESTRAL",
    "K_EULER", "K_EULER_ANCESTRAL", "K_HEUN", "K_LMS",
]  # fmt: skip
ClipGuidance = Literal["FAST_BLUE", "FAST_GREEN", "NONE", "SIMPLE", "SLOW", "SLOWER", "SLOWEST"]


class TextPrompt(BaseModel):
    model_config = ConfigDict(strict=True)

    text: str = Field(min_length=1, max_length=2000)
    weight: Annotated[float, Field(allow_inf_nan=False)] | None = 1.0


class TextToImage(BaseModel):
    """The body of ``POST /v1/generation/{engine}/text-to-image``."""

    model_config = ConfigDict(strict=True)

    text_prompts: list[TextPrompt] = Field(min_length=1, max_length=100)
    height: int = Field(default=512, ge=128, multiple_of=64)
    width: int = Field(default=512, ge=128, multiple_of=64)
    cfg_scale: float = Field(default=7, ge=0, le=35)
    samples: int = Field(default=1, ge=1, le=10)
    steps: int = Field(default=30, ge=10, le=50)
    seed: int = Field(default=0, ge=0, le=4_294_967_295)
    style_preset: StylePreset | None = None
    sampler: Sampler | None = None
    clip_guidance_preset: ClipGuidance = "NONE"
    extras: dict[str, Any] | None = None

    @property
    def text(self) -> str:
        """What is to be seen: the prompts that do not push away."""
        wanted = [prompt.text for prompt in self.text_prompts if (1.0 if prompt.weight is None else prompt.weight) > 0]
        return " ".join(wanted)

    @property
    def all_text(self) -> str:
        return " ".join(prompt.text for prompt in self.text_prompts)


def read_order(body: bytes) -> TextToImage:
    """The order in a request's body.

    Raises:
        StabilityError: 400 with the name v1 gives to this mistake.
    """
    try:
        order = TextToImage.model_validate(parse_json(body))
    except ValidationError as error:
        raise _refusal(error) from error
    except ValueError as error:
        raise StabilityError(400, "bad_request", "body: is not valid JSON") from error
    if (order.width, order.height) not in SIZES:
        allowed = ", ".join(f"{width}x{height}" for width, height in SIZES)
        raise StabilityError(
            400,
            "invalid_sdxl_v1_dimensions",
            "for stable-diffusion-xl-1024-v0-9 and stable-diffusion-xl-1024-v1-0 the allowed dimensions are "
            f"{allowed}, but we received {order.width}x{order.height}",
        )
    return order


def _refusal(error: ValidationError) -> StabilityError:
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "body"
    reason = "is required" if first["type"] == "missing" else first["msg"][:1].lower() + first["msg"][1:]
    head = first["loc"][0] if first["loc"] else ""
    name = {"samples": "invalid_samples", "height": "invalid_height_or_width", "width": "invalid_height_or_width"}
    return StabilityError(400, name.get(str(head), "bad_request"), f"{field}: {reason}")
