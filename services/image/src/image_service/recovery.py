"""Going on with what another process began."""

from common.logging import get_logger
from image_service.places import Places
from image_service.run import Run
from image_service.store.generations import GenerationStore
from image_service.tasks import GenerationTasks

logger = get_logger(__name__)

MAX_BEYOND = 32
"""Generations that only have to be charged or given back, and are taken over although every place is taken."""


class Recovery:
    """Works in every process at once: each stale generation is claimed by one of them."""

    def __init__(self, generations: GenerationStore, tasks: GenerationTasks, places: Places) -> None:
        self._generations = generations
        self._tasks = tasks
        self._places = places
        self._is_stopping = False

    def stop(self) -> None:
        """Take nothing over from now on."""
        self._is_stopping = True

    async def recover(self) -> None:
        """Take over generations whose owners are gone, as many as there are places; each goes on where it stood."""
        # First of all: after a time without the database, leases of the living have run out too.
        await self._tasks.renew()
        while not self._is_stopping and self._places.room > -MAX_BEYOND:
            generation = await self._generations.claim_stale(besides=self._tasks.ids, decided=self._places.room <= 0)
            if generation is None:
                return
            logger.warning("generation taken over", generation_id=generation.id, state=generation.state)
            self._places.take_over(generation.user_id)
            self._tasks.begin(Run(generation, is_takeover=True))
