"""One process's work on one generation."""

from dataclasses import dataclass, field
from datetime import timedelta

from common.clock import utc_now
from image_service.models import ORDER_SECONDS, Generation

PATIENCE_SECONDS = 100.0
"""How long the client of a fresh order waits for it: within the gateway's 120 s."""


@dataclass
class Run:
    """A generation as this process knows it, and what it has of its files.

    Attributes:
        generation: After the last step that this process took.
        max_wait_seconds: For a turn at the engine; ``None``: as long as there is time at all.
        is_takeover: Others have worked on it before, nobody knows how far.
        files: Stored bytes by image id.
    """

    generation: Generation
    max_wait_seconds: float | None = None
    is_takeover: bool = False
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def seconds_left(self) -> float:
        """Until the order is given up."""
        return ORDER_SECONDS - self._age_seconds

    @property
    def is_late(self) -> bool:
        return self.seconds_left <= 0

    @property
    def patience_left(self) -> float:
        """Until it is of no use to the client to try again: one who waits does not wait as long as the order may."""
        if self.max_wait_seconds is None:
            return self.seconds_left
        return PATIENCE_SECONDS - self._age_seconds

    @property
    def _age_seconds(self) -> float:
        return (utc_now() - self.generation.created_at) / timedelta(seconds=1)
