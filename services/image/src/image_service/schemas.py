"""Public wire shapes."""

from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, Field, PlainSerializer

from common.idempotency import IdempotencyKey, fingerprint
from common.pagination import Pagination
from common.schemas import ReadModel, RequestModel, Text, Timestamp
from image_service.models import Generation, Image, ImageUrls
from image_service.orders import Order, StylePreset

MAX_PROMPT_CHARACTERS = 10_000
"""Of any engine; what the configured one takes is in ``/options``."""
MAX_SEED = 4_294_967_295

THUMBNAIL = "A WebP of at most 256 pixels a side; null if there is none, or not yet"
BLURHASH = "What to show until the picture is there, see https://blurha.sh; null if there is none, or not yet"


def _prompt(text: str) -> str:
    trimmed = text.strip()
    if not 1 <= len(trimmed) <= MAX_PROMPT_CHARACTERS:
        raise ValueError(f"must be 1 to {MAX_PROMPT_CHARACTERS} characters")
    return trimmed


def _negative_prompt(text: str) -> str | None:
    trimmed = text.strip()
    if len(trimmed) > MAX_PROMPT_CHARACTERS:
        raise ValueError(f"must be at most {MAX_PROMPT_CHARACTERS} characters")
    return trimmed or None


def _plain_number(number: float) -> float | int:
    return int(number) if number.is_integer() else number


CfgScale = Annotated[
    float,
    Field(ge=0, le=35, allow_inf_nan=False),
    PlainSerializer(_plain_number, return_type=float | int, when_used="json"),
]
"""How strictly the prompt is followed; 7 stays 7 on the wire."""


class GenerateRequest(RequestModel):
    """One order of pictures; ``style``, ``cfg_scale`` and ``negative_prompt`` are older names that still work."""

    prompt: Annotated[Text, AfterValidator(_prompt)] = Field(
        json_schema_extra={"minLength": 1, "maxLength": MAX_PROMPT_CHARACTERS}, examples=["a red fox in the snow"]
    )
    style_preset: StylePreset | None = Field(
        default=None, validation_alias=AliasChoices("stylePreset", "style_preset", "style")
    )
    width: int = Field(default=1024, ge=1, description="Together with `height` one of the engine's sizes")
    height: int = Field(default=1024, ge=1, description="Together with `width` one of the engine's sizes")
    samples: int = Field(default=1, ge=1, le=10, description="How many pictures; each is charged")
    steps: int = Field(default=30, ge=10, le=50)
    cfg_scale: CfgScale = Field(default=7.0, description="Some engines have another default: see `/options`")
    negative_prompt: Annotated[Text, AfterValidator(_negative_prompt)] | None = Field(
        default=None, json_schema_extra={"maxLength": MAX_PROMPT_CHARACTERS}
    )
    seed: int | None = Field(default=None, ge=0, le=MAX_SEED, description="Equal orders with one seed look alike")
    response_format: Literal["base64", "url"] = Field(
        default="base64", description="`url` leaves `imageData` null: less to transfer"
    )
    idempotency_key: IdempotencyKey | None = None

    def fingerprint(self) -> str:
        """Hash what is asked for; who names no ``cfgScale`` asks for the engine's own, which is not 7 everywhere."""
        return fingerprint("generate", self, without=() if "cfg_scale" in self.model_fields_set else ("cfg_scale",))

    def to_order(self, *, cfg_scale: float | None) -> Order:
        """Read it as an order; ``cfg_scale`` is the engine's own, for who does not name one."""
        order = self.model_dump()
        if cfg_scale is not None and "cfg_scale" not in self.model_fields_set:
            order["cfg_scale"] = cfg_scale
        return Order.model_validate(order)


class GeneratedImageRead(ReadModel):
    """One picture of an answer to ``generate``."""

    id: str
    image_data: str | None = Field(description="`data:image/png;base64,…`, or null if only the address was asked for")
    image_url: str
    thumbnail_url: str | None = Field(description=THUMBNAIL)
    blurhash: str | None = Field(description=BLURHASH)
    prompt: str
    seed: int
    created_at: Timestamp

    @classmethod
    def of(cls, image: Image, *, urls: ImageUrls, image_data: str | None) -> "GeneratedImageRead":
        return cls(
            id=image.id,
            image_data=image_data,
            image_url=urls.image,
            thumbnail_url=urls.thumbnail,
            blurhash=image.blurhash,
            prompt=image.prompt,
            seed=image.seed,
            created_at=image.created_at,
        )


class AppliedRead(ReadModel):
    """What the engine was told; null where it has no such field."""

    engine: str
    width: int | None
    height: int | None
    aspect_ratio: str | None
    samples: int
    steps: int | None
    cfg_scale: CfgScale | None
    style_preset: StylePreset | None
    negative_prompt: str | None
    seed: int | None


class GenerationRead(ReadModel):
    """The answer to ``generate``: the pictures delivered, and what they cost."""

    images: list[GeneratedImageRead]
    coins_used: int
    remaining_coins: int | None = Field(description="What can be spent now; null if that cannot be told at the moment")
    generation_id: str
    applied: AppliedRead

    @classmethod
    def of(cls, generation: Generation, images: list[GeneratedImageRead]) -> "GenerationRead":
        return cls(
            images=images,
            coins_used=generation.coins_used or 0,
            remaining_coins=generation.remaining_coins,
            generation_id=generation.id,
            applied=AppliedRead.model_validate(generation.told.model_dump()),
        )


class HistoryImageRead(ReadModel):
    """A picture in a list; its bytes are behind ``imageUrl``."""

    id: str
    image_url: str
    thumbnail_url: str | None = Field(description=THUMBNAIL)
    blurhash: str | None = Field(description=BLURHASH)
    prompt: str
    style_preset: StylePreset | None
    width: int
    height: int
    steps: int
    cfg_scale: CfgScale
    seed: int
    coins_used: int
    created_at: Timestamp

    @classmethod
    def of(cls, image: Image, *, urls: ImageUrls) -> "HistoryImageRead":
        described = image.model_dump(include=set(cls.model_fields))
        return cls.model_validate({**described, "image_url": urls.image, "thumbnail_url": urls.thumbnail})


class HistoryRead(ReadModel):
    """One page of a user's pictures."""

    images: list[HistoryImageRead]
    pagination: Pagination


class FullImageRead(HistoryImageRead):
    """One picture with the order it belongs to."""

    generation_id: str
    image_data: str | None = Field(description="With `?include=imageData`, else null")

    @classmethod
    def full(cls, image: Image, *, urls: ImageUrls, image_data: str | None) -> "FullImageRead":
        listed = HistoryImageRead.of(image, urls=urls).model_dump()
        return cls.model_validate({**listed, "generation_id": image.generation_id, "image_data": image_data})


class ImageRead(ReadModel):
    """The answer to one picture's address."""

    image: FullImageRead


class DeletedRead(ReadModel):
    """A picture that is gone."""

    id: str
    deleted: Literal[True] = True
