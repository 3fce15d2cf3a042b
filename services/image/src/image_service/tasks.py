"""The generations that this process works on, each in a task of its own."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from common.logging import get_logger
from common.mongo import DATABASE_UNAVAILABLE
from image_service.models import Generation
from image_service.moves import FencedError
from image_service.places import Places
from image_service.run import Run
from image_service.runner import Finished, GenerationRunner
from image_service.store.generations import GenerationStore

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Work:
    run: Run
    task: asyncio.Task[Finished]


class GenerationTasks:
    """Work that goes on when whoever asked for it has left; each has a place, taken before it begins."""

    def __init__(self, generations: GenerationStore, runner: GenerationRunner, places: Places) -> None:
        self._generations = generations
        self._runner = runner
        self._places = places
        self._works: dict[str, _Work] = {}

    @property
    def ids(self) -> list[str]:
        """Of the generations under way."""
        return list(self._works)

    def begin(self, run: Run) -> asyncio.Task[Finished]:
        """Work on a generation that this process has claimed, in the place that was taken for it."""
        generation = run.generation
        self.call_off(generation.id)  # with an older claim it would come to nothing
        task = asyncio.create_task(self._runner.drive(run), name=f"generation:{generation.id}")
        # Kept here: it must end neither with the request nor with a collection of garbage.
        work = self._works[generation.id] = _Work(run, task)

        def ended(task: asyncio.Task[Finished]) -> None:
            if self._works.get(generation.id) is work:
                del self._works[generation.id]
            self._places.give_back(generation.user_id)
            if task.cancelled():
                return
            error = task.exception()
            if isinstance(error, FencedError):
                logger.warning("generation goes on elsewhere", generation_id=generation.id)
            elif error is not None:
                logger.error("generation left to the recovery", generation_id=generation.id, exc_info=error)

        task.add_done_callback(ended)
        return task

    def call_off(self, generation_id: str) -> None:
        """Stop working on a generation that is somebody else's now."""
        work = self._works.get(generation_id)
        if work is not None:
            work.task.cancel()

    async def renew(self) -> None:
        """Show that this process is alive; what was claimed by others meanwhile is theirs."""
        leases = {generation_id: work.run.generation.lease_n for generation_id, work in self._works.items()}
        for generation_id in await self._generations.renew(leases):
            work = self._works.get(generation_id)
            if work is not None and work.run.generation.lease_n == leases[generation_id]:
                logger.warning("generation lost", generation_id=generation_id)
                work.task.cancel()

    async def drain(self, seconds: float) -> None:
        """Wait for what is under way; what is left after ``seconds`` is handed over to whoever comes next."""
        if self._works:
            await asyncio.wait([work.task for work in self._works.values()], timeout=seconds)
        left = list(self._works.values())
        for work in left:
            work.task.cancel()
        await asyncio.gather(*(work.task for work in left), return_exceptions=True)
        # At once: without the database each of them takes seconds.
        await asyncio.gather(*(self._hand_over(work.run.generation) for work in left))

    async def _hand_over(self, generation: Generation) -> None:
        with suppress(*DATABASE_UNAVAILABLE):  # then its lease ends by itself
            await self._generations.hand_over(generation, seconds=0)
            logger.warning("generation handed over", generation_id=generation.id, state=generation.state)
