"""Steps of a generation that are taken for sure, or by somebody else: nothing between."""

from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar

from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from common.logging import get_logger
from common.mongo import DATABASE_UNAVAILABLE
from image_service.changes import Changes
from image_service.models import Generation, State
from image_service.store.generations import GenerationStore

logger = get_logger(__name__)

MAX_PAUSE_SECONDS = 2.0

Arguments = ParamSpec("Arguments")
ResultT = TypeVar("ResultT")


class FencedError(Exception):
    """Somebody else has claimed this generation; what was done here since does not count."""


class Moves:
    """Compare-and-sets on generations, with the database's outages waited out."""

    def __init__(self, generations: GenerationStore, changes: Changes) -> None:
        self._generations = generations
        self._changes = changes

    async def make(self, generation: Generation, after: State, **changes: Any) -> Generation:
        """Take one step; returns the generation as it is then.

        Raises:
            FencedError: It is not ours any more.
        """
        moved = await surely(self._try, generation, after, changes)
        self._changes.tell(moved)
        return moved

    async def _try(self, generation: Generation, after: State, changes: dict[str, Any]) -> Generation:
        moved = await self._generations.move(generation, after, **changes)
        if moved is not None:
            return moved
        # Perhaps it was taken before, and only the answer was lost.
        current = await self._generations.get(generation.id)
        if current.lease_n == generation.lease_n:
            attempts = changes.get("attempts", generation.attempts)
            if (current.state, current.attempts) == (after, attempts):
                return current
            if (current.state, current.attempts) == (generation.state, generation.attempts):
                raise _NotYetError  # it is on one server, but not yet on a majority
        raise FencedError


class _NotYetError(Exception):
    """What was written cannot be read yet."""


async def surely(
    action: Callable[Arguments, Awaitable[ResultT]], *arguments: Arguments.args, **named: Arguments.kwargs
) -> ResultT:
    """Repeat ``action`` until the database answers; it must be harmless to repeat."""
    retrying = AsyncRetrying(
        wait=wait_random_exponential(multiplier=0.1, max=MAX_PAUSE_SECONDS),
        retry=retry_if_exception_type((_NotYetError, *DATABASE_UNAVAILABLE)),
    )
    return await retrying(action, *arguments, **named)
