"""Stored shapes of reports."""

from datetime import datetime
from typing import Literal

from image_service.models import Image
from image_service.orders import Model, StylePreset

ReportStatus = Literal["received", "closed"]


class Snapshot(Model):
    """The picture as it was when it was reported, whatever becomes of it."""

    generation_id: str
    prompt: str
    negative_prompt: str | None
    style_preset: StylePreset | None
    width: int
    height: int
    steps: int
    cfg_scale: float
    seed: int
    size_bytes: int
    sha256: str
    created_at: datetime

    @classmethod
    def of(cls, image: Image) -> "Snapshot":
        return cls.model_validate(image.model_dump())


class Report(Model):
    """Somebody's complaint about one picture."""

    id: str
    user_id: str
    """Who reported it."""
    image_id: str
    reason: str
    note: str | None
    status: ReportStatus = "received"
    snapshot: Snapshot
    original: str
    """Name of the picture's own file."""
    file: str | None
    """Name of the copy kept for review; none if there was nothing left to copy, or the review is over."""
    created_at: datetime
    closed_at: datetime | None = None
    decision: str | None = None
    """What was found, in the reviewer's words."""
    actor: str | None = None
    """Who closed it."""
