"""One generation from its acceptance to its end: reserve, draw, store, charge; or give everything back."""

import asyncio
from dataclasses import dataclass, field

from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_after_delay,
    wait_random_exponential,
)

from common.clock import utc_now
from common.errors import ServiceError
from common.logging import get_logger
from common.mongo import DATABASE_UNAVAILABLE
from image_service.errors import GenerationFailedError
from image_service.failures import failure_of
from image_service.files import PictureFiles, new_files, unused
from image_service.funds import ChargeRefusedError, Funds
from image_service.models import Generation, images_of
from image_service.places import Places
from image_service.providers import Provider
from image_service.store.generations import GenerationStore
from image_service.store.images import ImageStore

logger = get_logger(__name__)

ORDER_SECONDS = 100.0
"""From acceptance to stored pictures; after that nothing is charged."""

ENDING_SECONDS = 6.0
"""How long the request itself tries to take or give back coins; after that the recovery goes on."""

HAND_OVER_SECONDS = 2.0

AWAY: tuple[type[Exception], ...] = (ServiceError, TimeoutError, *DATABASE_UNAVAILABLE)
"""What may be over in a moment; every step after the decision may be repeated."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A generation as far as it came, with its stored files by image id if this process has them at hand."""

    generation: Generation
    files: dict[str, bytes] = field(default_factory=dict)


class _DecidedElsewhereError(Exception):
    """Another process has decided this generation's end; what was done here does not count."""


class GenerationRunner:
    """Takes every step of a generation; knows nothing of who waits for it."""

    def __init__(
        self,
        generations: GenerationStore,
        images: ImageStore,
        funds: Funds,
        provider: Provider,
        files: PictureFiles,
        places: Places,
    ) -> None:
        self._generations = generations
        self._images = images
        self._funds = funds
        self._provider = provider
        self._files = files
        self._places = places

    async def run(self, generation: Generation) -> Finished:
        """Carry out an accepted order; its own failure is in the generation that is returned.

        Raises:
            Exception: Only of ``DATABASE_UNAVAILABLE``: the outcome is unknown until the recovery has ended it.
        """
        files: dict[str, bytes] = {}
        try:
            async with asyncio.timeout(ORDER_SECONDS):
                decided = await self._draw(generation, files)
        except _DecidedElsewhereError:
            decided = await self._generations.get(generation.id)
        # Whatever it is: the coins are set aside, and must not stay so.
        except Exception as error:
            decided = await self.give_up(generation, error)
        return Finished(await self._end_soon(decided), files)

    async def give_up(self, generation: Generation, error: Exception) -> Generation:
        """Decide that nothing will be charged, unless it is decided already; returns what is."""
        voiding = await self._generations.move(
            generation.id, ("accepted", "drawing"), "voiding", failure=failure_of(error), holds_key=False
        )
        return voiding or await self._generations.get(generation.id)

    async def end(self, generation: Generation) -> Generation:
        """Carry out what is decided.

        Raises:
            Exception: One of ``AWAY``; repeat it.
        """
        if generation.state == "stored":
            return await self._charge(generation)
        if generation.state == "voiding":
            return await self._give_back(generation)
        return generation

    async def _end_soon(self, generation: Generation) -> Generation:
        # Only who is to be delivered pictures gains by waiting for the coin service to come back.
        retrying = AsyncRetrying(
            stop=stop_after_delay(ENDING_SECONDS) if generation.state == "stored" else stop_after_attempt(1),
            wait=wait_random_exponential(multiplier=0.2, max=2.0),
            retry=retry_if_exception_type(AWAY),
            reraise=True,
        )
        try:
            async with asyncio.timeout(ENDING_SECONDS):
                return await retrying(self.end, generation)
        except AWAY as error:
            logger.warning(
                "generation left to the recovery",
                generation_id=generation.id,
                state=generation.state,
                error=type(error).__name__,
            )
            await self._generations.hand_over(generation.id, seconds=HAND_OVER_SECONDS)
            return generation

    async def _draw(self, generation: Generation, files: dict[str, bytes]) -> Generation:
        cover = await self._funds.reserve(generation)
        async with self._places.turn(generation.user_id):
            names = new_files(generation.id, generation.order.samples)
            # Written first: should this process end during the call, its price is known, and where files may lie.
            drawing = await self._generations.move(
                generation.id,
                ("accepted",),
                "drawing",
                cover=cover,
                attempts=generation.attempts + 1,
                files=names,
            )
            if drawing is None:
                # Coins refuse a late hold by themselves; a day's quota does not.
                await self._funds.release(generation)
                raise _DecidedElsewhereError
            drawn = await self._provider.draw(drawing.order)
        pictures = await self._files.store(names, drawn, files)
        now = utc_now()
        stored = await self._generations.move(
            generation.id, ("drawing",), "stored", pictures=pictures, files=unused(names, pictures), stored_at=now
        )
        if stored is None:
            current = await self._generations.get(generation.id)
            if current.pictures != pictures:
                await self._files.delete(names)
                raise _DecidedElsewhereError
            return current
        return stored

    async def _charge(self, generation: Generation) -> Generation:
        try:
            remaining = await self._funds.capture(generation)
        except ChargeRefusedError:
            # Given back rather than failed at once: if the coins are set aside after all, they must not stay so.
            voiding = await self._generations.move(
                generation.id,
                ("stored",),
                "voiding",
                failure=failure_of(GenerationFailedError()),
                holds_key=False,
                files=[*generation.files, *(file for picture in generation.pictures for file in picture.files)],
            )
            return await self.end(voiding or await self._generations.get(generation.id))
        await self._images.add_all(images_of(generation))
        await self._files.delete(generation.files)
        succeeded = await self._generations.move(
            generation.id,
            ("stored",),
            "succeeded",
            coins_used=generation.due_coins,
            remaining_coins=remaining,
            files=[],
            open=False,
            finished_at=utc_now(),
        )
        logger.info("generation succeeded", generation_id=generation.id, images=len(generation.pictures))
        return succeeded or await self._generations.get(generation.id)

    async def _give_back(self, generation: Generation) -> Generation:
        await self._funds.release(generation)
        await self._files.delete(generation.files)
        failed = await self._generations.move(
            generation.id, ("voiding",), "failed", coins_used=0, open=False, finished_at=utc_now()
        )
        code = generation.failure.code if generation.failure else None
        logger.info("generation failed", generation_id=generation.id, code=code)
        return failed or await self._generations.get(generation.id)
