"""Stored shapes: generations and their pictures."""

from datetime import datetime
from typing import Any, Literal, NamedTuple

from pydantic import Field

from common.clients.image import Decision
from image_service.orders import Applied, Model, Order, StylePreset

FIRST_ENGINE = "stable-diffusion-xl-1024-v1-0"

State = Literal["accepted", "reserved", "drawing", "stored", "succeeded", "voiding", "failed"]
"""How far a generation came.

``accepted`` → ``reserved`` (its price is set aside) → ``drawing`` → ``stored`` (it will be charged) → ``succeeded``, or
from one of the first three → ``voiding`` (it will not be charged) → ``failed``. ``stored`` and ``voiding`` are two
outcomes of a compare-and-set on one document, so charging and giving back exclude each other.
"""

UNDECIDED: tuple[State, ...] = ("accepted", "reserved", "drawing")
"""Before it is known whether it will be charged."""

ORDER_SECONDS = 300.0
"""From acceptance to stored pictures, whoever works on it; after that nothing is charged."""

Cover = Literal["coins", "subscription"]


class Failure(Model):
    """Why a generation failed, as the client is told."""

    code: str
    message: str
    details: Any = None
    retry_after: str | None = None


class Picture(Model):
    """One stored picture of a generation."""

    image_id: str
    file: str
    thumbnail: str | None = None
    """Its file's name; none if it could not be stored, or not yet."""
    blurhash: str | None = None
    width: int | None = None
    """Of the file, which some engines choose themselves; none in what was stored before this was noted."""
    height: int | None = None
    seed: int
    size_bytes: int
    sha256: str

    @property
    def files(self) -> list[str]:
        """The names under which it lies in storage."""
        return [self.file] if self.thumbnail is None else [self.file, self.thumbnail]


class Generation(Model):
    """One order, from before anything happens to its end."""

    id: str
    user_id: str
    key: str | None
    """The client's idempotency key."""
    holds_key: bool
    """While open or succeeded; a failed order frees its key, so that it may be corrected and sent again."""
    joins: bool = False
    """It came without a key: while it is open, an equal one without a key is taken for the same."""
    fingerprint: str
    order: Order
    coins_per_image: int
    """The price when it was ordered."""
    state: State
    open: bool
    """Not yet at its end: somebody must work on it; until when that is whose task, is the store's matter."""
    lease_n: int = 0
    """How often it was claimed; who was given a smaller number has lost it, and can take no further step."""
    version: int = 1
    """Counts its changes."""
    cover: Cover | None = None
    applied: Applied | None = None
    """What the engine was told last; written with each call."""
    attempts: int = 0
    """Calls of the engine; counted before each."""
    drawn: int = 0
    """Pictures that the engine has sent in this attempt."""
    files: list[str] = Field(default_factory=list)
    """Names under which pictures may lie in storage without being anybody's yet."""
    pictures: list[Picture] = Field(default_factory=list)
    coins_used: int | None = None
    remaining_coins: int | None = None
    failure: Failure | None = None
    created_at: datetime
    stored_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def told(self) -> Applied:
        """What the engine was told; orders that do not say were drawn by the first engine, which takes every field."""
        if self.applied is not None:
            return self.applied
        return Applied(engine=FIRST_ENGINE, aspect_ratio=None, **self.order.model_dump(exclude={"prompt"}))

    @property
    def coin_key(self) -> str:
        """The key under which the coins are held, captured or given back."""
        return coin_key_of(self.id)

    @property
    def price_coins(self) -> int:
        """What all its pictures cost; set aside before drawing."""
        return self.coins_per_image * self.order.samples

    @property
    def due_coins(self) -> int:
        """What the pictures drawn cost."""
        return 0 if self.cover == "subscription" else self.coins_per_image * len(self.pictures)

    @property
    def decision(self) -> Decision:
        """What is to become of the coins that were set aside: nobody knows before it is stored or given up."""
        match self.state:
            case "accepted" | "reserved" | "drawing":
                return "undecided"
            case "stored" | "succeeded":
                return "capture" if self.due_coins else "void"
            case "voiding" | "failed":
                return "void"


class Image(Model):
    """One picture of a user."""

    id: str
    user_id: str
    generation_id: str
    file: str
    thumbnail: str | None = None
    """Its file's name; none if it could not be stored, or not yet."""
    blurhash: str | None = None
    size_bytes: int
    sha256: str
    prompt: str
    negative_prompt: str | None
    style_preset: StylePreset | None
    width: int
    height: int
    steps: int
    cfg_scale: float
    seed: int
    coins_used: int
    created_at: datetime

    @property
    def coin_key(self) -> str:
        """The key under which its generation's coins were held and captured."""
        return coin_key_of(self.generation_id)


class ImageUrls(NamedTuple):
    """Addresses from which phones can load a picture's files."""

    image: str
    thumbnail: str | None


class DeletedImage(Model):
    """What is known of a deleted picture; its files may still be there."""

    id: str
    user_id: str
    generation_id: str
    file: str
    thumbnail: str | None = None

    @property
    def files(self) -> list[str]:
        """The names under which it lies in storage."""
        return [self.file] if self.thumbnail is None else [self.file, self.thumbnail]


def coin_key_of(generation_id: str) -> str:
    return f"generation:{generation_id}"


def images_of(generation: Generation) -> list[Image]:
    """Make the users' pictures of a stored generation; the same ones whenever it is asked."""
    order = generation.order
    each = 0 if generation.cover == "subscription" else generation.coins_per_image
    return [
        Image(
            id=picture.image_id,
            user_id=generation.user_id,
            generation_id=generation.id,
            file=picture.file,
            thumbnail=picture.thumbnail,
            blurhash=picture.blurhash,
            size_bytes=picture.size_bytes,
            sha256=picture.sha256,
            prompt=order.prompt,
            negative_prompt=order.negative_prompt,
            style_preset=order.style_preset,
            width=picture.width or order.width,
            height=picture.height or order.height,
            steps=order.steps,
            cfg_scale=order.cfg_scale,
            seed=picture.seed,
            coins_used=each,
            created_at=generation.stored_at or generation.created_at,
        )
        for picture in generation.pictures
    ]
