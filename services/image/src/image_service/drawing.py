"""The engine's part of a generation: from coins that are set aside to files in storage."""

import asyncio
import random
from collections.abc import Callable

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from common.clock import utc_now
from common.logging import get_logger
from common.mongo import DATABASE_UNAVAILABLE
from image_service.changes import Changes
from image_service.errors import GenerationFailedError, ProviderError, StorageUnavailableError
from image_service.files import PictureFiles, new_files, unused
from image_service.models import Generation, Picture
from image_service.moves import FencedError, Moves, surely
from image_service.places import Places
from image_service.providers import DrawnPicture, Provider
from image_service.run import Run
from image_service.store.generations import GenerationStore

logger = get_logger(__name__)

MAX_ATTEMPTS = 3
"""Calls of the engine for one order, whoever makes them: each may be billed."""

MAX_PAUSE_SECONDS = 1.0
"""Before the next attempt, at random: those who failed together shall not come back together."""

STORE_TRIES = 3


class Drawing:
    """Makes attempts at an order, each written down before the engine is asked."""

    def __init__(
        self,
        generations: GenerationStore,
        provider: Provider,
        files: PictureFiles,
        places: Places,
        moves: Moves,
        changes: Changes,
    ) -> None:
        self._generations = generations
        self._provider = provider
        self._files = files
        self._places = places
        self._moves = moves
        self._changes = changes
        self._reports: set[asyncio.Task[None]] = set()

    async def draw(self, run: Run) -> None:
        """Make one attempt; afterwards the generation is stored, or may be attempted again.

        Raises:
            ServiceError: It failed, and another attempt is of no use.
            TimeoutError: There is no time left.
            FencedError: It is not ours any more.
        """
        if run.generation.attempts >= MAX_ATTEMPTS:
            raise GenerationFailedError
        clock = asyncio.get_running_loop().time
        began = clock()
        names = new_files(run.generation.id, run.generation.order.samples)
        try:
            drawn = await self._ask(run, names)
        except ProviderError as error:
            pause = random.uniform(0, MAX_PAUSE_SECONDS)  # noqa: S311 - only spreads the load
            # Another attempt may take as long as this one, and must end in time.
            is_in_time = pause + clock() - began < run.patience_left
            if not (error.is_repeatable and is_in_time and run.generation.attempts < MAX_ATTEMPTS):
                raise
            logger.warning("the engine is asked again", generation_id=run.generation.id, code=error.code)
            await asyncio.sleep(pause)
            return
        pictures = await self._store(names, drawn, run.files)
        await self._set_stored(run, names, pictures)

    async def _ask(self, run: Run, names: list[str]) -> list[DrawnPicture]:
        generation, left = run.generation, run.seconds_left
        max_wait = left if run.max_wait_seconds is None else min(left, run.max_wait_seconds)
        async with self._places.turn(generation.user_id, max_wait_seconds=max_wait):
            # Written first: should this process end during the call, it is known that it may have been made, and where
            # files may lie.
            run.generation = await self._moves.make(
                generation,
                "drawing",
                attempts=generation.attempts + 1,
                applied=self._provider.applied(generation.order),
                drawn=0,
                files=[*generation.files, *names],
            )
            async with asyncio.timeout(run.seconds_left):
                return await self._provider.draw(
                    generation.order, order_id=generation.id, on_picture=self._counter(run.generation)
                )

    def _counter(self, generation: Generation) -> Callable[[], None]:
        """Return what is called for each picture; nobody waits for its being written down."""
        drawn = 0

        def count() -> None:
            nonlocal drawn
            drawn += 1
            report = asyncio.create_task(self._report(generation, drawn))
            self._reports.add(report)
            report.add_done_callback(self._reports.discard)

        return count

    async def _report(self, generation: Generation, drawn: int) -> None:
        try:
            counted = await self._generations.set_drawn(generation, drawn)
        except DATABASE_UNAVAILABLE:
            return  # progress that nobody sees is no loss
        if counted is not None:
            self._changes.tell(counted)

    async def _store(self, names: list[str], drawn: list[DrawnPicture], files: dict[str, bytes]) -> list[Picture]:
        retrying = AsyncRetrying(
            stop=stop_after_attempt(STORE_TRIES),
            wait=wait_random_exponential(multiplier=0.1, max=1.0),
            retry=retry_if_exception_type(StorageUnavailableError),
            reraise=True,
        )
        return await retrying(self._files.store, names, drawn, files)

    async def _set_stored(self, run: Run, names: list[str], pictures: list[Picture]) -> None:
        generation = run.generation
        try:
            run.generation = await self._moves.make(
                generation,
                "stored",
                pictures=pictures,
                drawn=len(pictures),
                files=unused(generation.files, pictures),
                stored_at=utc_now(),
            )
        except FencedError:
            # Whoever goes on knows these names, but may have cleared up before the files came.
            current = await surely(self._generations.get, generation.id)
            await self._files.delete(unused(names, current.pictures))
            raise
