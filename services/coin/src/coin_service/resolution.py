"""Ends holds that their owner has forgotten, as the owner decided."""

from dataclasses import dataclass

from coin_service.audit.report import OpenHold
from coin_service.holds import HoldService
from common.clients.coin import HoldResolvedError
from common.clients.image import GenerationNotFoundError, ImageClient
from common.errors import IdempotencyKeyReusedError, ValidationFailedError
from common.logging import get_logger
from common.schemas import is_object_id

logger = get_logger(__name__)

GENERATION = "generation:"
"""How the image service names its holds."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """What became of a hold."""

    ended: bool
    text: str


class HoldResolver:
    """Asks the image service and does what it says; where it does not say, nothing."""

    def __init__(self, holds: HoldService, images: ImageClient) -> None:
        self._holds = holds
        self._images = images

    async def resolve(self, hold: OpenHold) -> Resolution:
        """End a hold by its owner's decision; harmless if the owner does the same meanwhile.

        Raises:
            ServiceError: The image service cannot be asked; nothing was done.
        """
        generation_id = hold.name.removeprefix(GENERATION)
        if not hold.name.startswith(GENERATION) or not is_object_id(generation_id):
            return Resolution(ended=False, text="left open: it is no generation's, there is nobody to ask")
        try:
            found = await self._images.decision(generation_id)
        except GenerationNotFoundError:
            return Resolution(ended=False, text="left open: the image service does not know this generation")
        if found.user_id != hold.user_id:
            return Resolution(ended=False, text="left open: the generation is another user's")
        if found.decision == "undecided":
            return Resolution(ended=False, text=f"left open: the generation is {found.state}, nothing is decided yet")
        try:
            if found.decision == "capture":
                await self._holds.capture(hold.user_id, found.coins, key=hold.name, reference=generation_id)
                text = f"captured {found.coins} of {hold.coins} coins: the generation is {found.state}"
            else:
                await self._holds.void(hold.user_id, key=hold.name)
                text = f"gave {hold.coins} coins back: the generation is {found.state}"
        except HoldResolvedError:
            return Resolution(ended=False, text=f"was ended the other way; the generation is {found.state}")
        except (ValidationFailedError, IdempotencyKeyReusedError):
            return Resolution(ended=False, text=f"left open: {found.coins} coins cannot be captured of {hold.coins}")
        logger.info("hold resolved", user_id=hold.user_id, key=hold.name, decision=found.decision)
        return Resolution(ended=True, text=text)
