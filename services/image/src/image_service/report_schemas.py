"""Wire shapes of reports."""

from typing import Annotated

from pydantic import AfterValidator, Field

from common.schemas import ReadModel, RequestModel, Text, Timestamp
from image_service.reported import Report, ReportStatus

MAX_REASON_CHARACTERS = 100
MAX_NOTE_CHARACTERS = 1000

SUGGESTED_REASONS = ["sexual", "violent", "hateful", "harassing", "dangerous", "a real person", "copyright", "other"]


def _reason(text: str) -> str:
    trimmed = text.strip()
    if not 1 <= len(trimmed) <= MAX_REASON_CHARACTERS or not trimmed.isprintable():
        raise ValueError(f"must be 1 to {MAX_REASON_CHARACTERS} characters of one line")
    return trimmed


def _note(text: str) -> str | None:
    trimmed = text.strip()
    if len(trimmed) > MAX_NOTE_CHARACTERS:
        raise ValueError(f"must be at most {MAX_NOTE_CHARACTERS} characters")
    return trimmed or None


class ReportRequest(RequestModel):
    """What is wrong with a picture."""

    reason: Annotated[Text, AfterValidator(_reason)] = Field(
        description="A few words; the same reason again is the same report",
        json_schema_extra={"minLength": 1, "maxLength": MAX_REASON_CHARACTERS},
        examples=SUGGESTED_REASONS,
    )
    note: Annotated[Text, AfterValidator(_note)] | None = Field(
        default=None, json_schema_extra={"maxLength": MAX_NOTE_CHARACTERS}
    )


class ReportRead(ReadModel):
    """A report as its sender sees it."""

    id: str
    image_id: str
    reason: str
    status: ReportStatus
    created_at: Timestamp

    @classmethod
    def of(cls, report: Report) -> "ReportRead":
        return cls.model_validate(report.model_dump(include=set(cls.model_fields)))
