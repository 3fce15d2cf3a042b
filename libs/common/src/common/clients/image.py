"""The image service as others see it."""

from typing import Literal

from common.errors import NotFoundError
from common.http import ServiceClient, path_segment
from common.schemas import ObjectIdStr, ReadModel

READ_SCOPE = "image:read"

Decision = Literal["undecided", "capture", "void"]
"""What is to become of a generation's coins; a capture becomes a void only after the ledger refused it."""


class GenerationNotFoundError(NotFoundError):
    """No generation has this id."""

    code = "generation_not_found"
    message = "This generation does not exist."


class GenerationDecision(ReadModel):
    """What the image service has decided of the coins that a generation set aside."""

    id: str
    user_id: ObjectIdStr
    state: str
    """How far it came, for people."""
    decision: Decision
    coins: int
    """To be captured; 0 unless ``decision`` says so."""


class ImageClient(ServiceClient):
    """Reads only."""

    service = "image"
    raises = (GenerationNotFoundError,)

    async def decision(self, generation_id: str) -> GenerationDecision:
        """Ask what is to become of a generation's coins.

        Raises:
            GenerationNotFoundError: The image service does not know it.
        """
        answer = await self._call("GET", f"/internal/generations/{path_segment(generation_id)}", scope=READ_SCOPE)
        return self._parse(GenerationDecision, answer)
