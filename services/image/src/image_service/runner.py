"""One generation from wherever it stands to its end: reserve, draw, store, charge; or give everything back."""

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

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
from image_service.drawing import Drawing
from image_service.errors import GenerationFailedError
from image_service.failures import failure_of
from image_service.files import PictureFiles
from image_service.funds import ChargeRefusedError, Funds
from image_service.models import UNDECIDED, Generation, images_of
from image_service.moves import MAX_PAUSE_SECONDS, FencedError, Moves
from image_service.run import Run
from image_service.store.generations import GenerationStore
from image_service.store.images import ImageStore

logger = get_logger(__name__)

ENDING_SECONDS = 6.0
"""How long one process tries to take or give back coins; after that any process goes on."""

MIN_REST_SECONDS = 2.0
MAX_REST_SECONDS = 15.0
"""How long an end that could not be reached is left alone before somebody tries again; the older, the longer."""

AWAY: tuple[type[Exception], ...] = (ServiceError, TimeoutError, *DATABASE_UNAVAILABLE)
"""What may be over in a moment; every step after the decision may be repeated."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A generation as far as it came, with its stored files by image id if this process has them at hand."""

    generation: Generation
    files: dict[str, bytes] = field(default_factory=dict)


class GenerationRunner:
    """Takes every step of a generation, whoever took the ones before; knows nothing of who waits for it."""

    def __init__(
        self,
        generations: GenerationStore,
        images: ImageStore,
        funds: Funds,
        files: PictureFiles,
        drawing: Drawing,
        moves: Moves,
    ) -> None:
        self._generations = generations
        self._images = images
        self._funds = funds
        self._files = files
        self._drawing = drawing
        self._moves = moves

    async def drive(self, run: Run) -> Finished:
        """Bring a generation of ours to its end; its own failure is in what is returned.

        Raises:
            FencedError: Somebody else has claimed it, and goes on with it.
        """
        while run.generation.state in UNDECIDED:
            try:
                await self._step(run)
            except FencedError:
                raise
            # Whatever it is: coins may be set aside, and must not stay so.
            except Exception as error:
                await self._give_up(run, error)
        await self._end(run)
        return Finished(run.generation, run.files)

    async def _step(self, run: Run) -> None:
        if run.is_late:
            raise TimeoutError
        if run.generation.state == "accepted":
            await self._reserve(run)
        else:
            await self._drawing.draw(run)

    async def _reserve(self, run: Run) -> None:
        is_repeat = run.is_takeover
        while True:
            try:
                cover = await self._funds.reserve(run.generation, is_repeat=is_repeat)
                break
            except DATABASE_UNAVAILABLE:
                if run.is_late:
                    raise
                is_repeat = True
                await asyncio.sleep(random.uniform(0.1, MAX_PAUSE_SECONDS))  # noqa: S311 - only spreads the load
        run.generation = await self._moves.make(run.generation, "reserved", cover=cover)

    async def _give_up(self, run: Run, error: Exception) -> None:
        failure = failure_of(error)
        run.generation = await self._moves.make(
            run.generation, "voiding", failure=failure, holds_key=False, joins=False, finished_at=utc_now()
        )

    async def _end(self, run: Run) -> None:
        """Carry out what is decided, or leave that to whoever comes next."""
        # Only who is to be delivered pictures gains by waiting for the coin service to come back.
        retrying = AsyncRetrying(
            stop=stop_after_delay(ENDING_SECONDS) if run.generation.state == "stored" else stop_after_attempt(1),
            wait=wait_random_exponential(multiplier=0.2, max=MAX_PAUSE_SECONDS),
            retry=retry_if_exception_type(AWAY),
            reraise=True,
        )
        try:
            async with asyncio.timeout(ENDING_SECONDS):
                await retrying(self._carry_out, run)
        except AWAY as error:
            generation = run.generation
            age = utc_now() - generation.created_at
            rest = min(MAX_REST_SECONDS, max(MIN_REST_SECONDS, age / timedelta(seconds=1) / 4))
            logger.warning(
                "generation left to the recovery",
                generation_id=generation.id,
                state=generation.state,
                error=type(error).__name__,
            )
            with suppress(*DATABASE_UNAVAILABLE):  # then its lease ends by itself
                await self._generations.hand_over(generation, seconds=rest)

    async def _carry_out(self, run: Run) -> None:
        if run.generation.state == "stored":
            await self._charge(run)
        if run.generation.state == "voiding":
            await self._give_back(run)

    async def _charge(self, run: Run) -> None:
        generation = run.generation
        try:
            remaining = await self._funds.capture(generation)
        except ChargeRefusedError:
            # Given back rather than failed at once: if the coins are set aside after all, they must not stay so.
            pictures = [file for picture in generation.pictures for file in picture.files]
            run.generation = await self._moves.make(
                generation,
                "voiding",
                failure=failure_of(GenerationFailedError()),
                holds_key=False,
                joins=False,
                files=[*generation.files, *pictures],
                finished_at=utc_now(),
            )
            return
        await self._images.add_all(images_of(generation))
        await self._files.delete(generation.files)
        run.generation = await self._moves.make(
            generation,
            "succeeded",
            coins_used=generation.due_coins,
            remaining_coins=remaining,
            files=[],
            joins=False,
            open=False,
            finished_at=utc_now(),
        )
        logger.info("generation succeeded", generation_id=generation.id, images=len(generation.pictures))

    async def _give_back(self, run: Run) -> None:
        generation = run.generation
        await self._funds.release(generation)
        await self._files.delete(generation.files)
        finished_at = generation.finished_at or utc_now()
        run.generation = await self._moves.make(generation, "failed", coins_used=0, open=False, finished_at=finished_at)
        code = generation.failure.code if generation.failure else None
        logger.info("generation failed", generation_id=generation.id, code=code)
