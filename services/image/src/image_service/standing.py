"""How a generation stands, as its user is told."""

from typing import Literal

from image_service.errors import GenerationCanceledError
from image_service.models import Generation

Status = Literal["queued", "running", "succeeded", "failed", "canceled"]

FINAL: tuple[Status, ...] = ("succeeded", "failed", "canceled")

RESERVED_PERCENT = 5
DRAWING_PERCENT = ((10, 60), (60, 80), (80, 90))
"""From an attempt's begin to its last picture; a further attempt goes on where the one before can have been at most."""

STORED_PERCENT = 95


def status_of(generation: Generation) -> Status:
    """Say where it is; what is decided is told at once, though coins are still to be taken or given back."""
    match generation.state:
        case "accepted" | "reserved":
            return "queued"
        case "drawing" | "stored":
            return "running"
        case "succeeded":
            return "succeeded"
        case "voiding" | "failed":
            failure = generation.failure
            return "canceled" if failure is not None and failure.code == GenerationCanceledError.code else "failed"


def is_final(generation: Generation) -> bool:
    return status_of(generation) in FINAL


def progress_of(generation: Generation) -> int:
    """Return how much is done, in percent; it never goes back, and stays where it was if the generation fails."""
    if generation.state == "succeeded":
        return 100
    if generation.pictures:
        return STORED_PERCENT
    if generation.attempts:
        begin, end = DRAWING_PERCENT[min(generation.attempts, len(DRAWING_PERCENT)) - 1]
        return begin + (end - begin) * min(generation.drawn, generation.order.samples) // generation.order.samples
    return RESERVED_PERCENT if generation.cover is not None else 0


def event_number(generation: Generation) -> int:
    """Return what numbers this standing among the generation's events; greater ones come later.

    Failing is told once: that its coins have been given back since is another version, but no other standing.
    """
    return generation.version - 1 if generation.state == "failed" else generation.version
