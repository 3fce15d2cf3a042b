"""Wire shapes of a generation that is followed."""

from typing import Any

from pydantic import Field

from common.schemas import ReadModel, Timestamp
from image_service.models import Failure, Generation
from image_service.schemas import GeneratedImageRead
from image_service.standing import Status, progress_of, status_of


class GenerationErrorRead(ReadModel):
    """Why there are no pictures; nothing was charged."""

    code: str = Field(examples=["content_rejected"])
    message: str
    details: Any = None

    @classmethod
    def of(cls, failure: Failure) -> "GenerationErrorRead":
        return cls(code=failure.code, message=failure.message, details=failure.details)


class FollowedGenerationRead(ReadModel):
    """One order of pictures, as far as it came."""

    id: str
    status: Status = Field(description="`succeeded`, `failed` and `canceled` are final")
    progress: int = Field(ge=0, le=100, description="In percent; never goes back")
    coins_used: int = Field(description="0 until the pictures are there")
    images: list[GeneratedImageRead] = Field(description="Once it has succeeded; `imageData` is null")
    error: GenerationErrorRead | None
    created_at: Timestamp
    finished_at: Timestamp | None

    @classmethod
    def of(cls, generation: Generation, images: list[GeneratedImageRead]) -> "FollowedGenerationRead":
        return cls(
            id=generation.id,
            status=status_of(generation),
            progress=progress_of(generation),
            coins_used=generation.coins_used or 0,
            images=images,
            error=None if generation.failure is None else GenerationErrorRead.of(generation.failure),
            created_at=generation.created_at,
            finished_at=generation.finished_at,
        )


class OneGenerationRead(ReadModel):
    """The answer about one generation."""

    generation: FollowedGenerationRead
