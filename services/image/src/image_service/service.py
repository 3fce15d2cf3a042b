"""The rules of generation: who draws, and who waits for whom."""

import asyncio
from dataclasses import dataclass, field

from common.clients.image import GenerationNotFoundError
from common.errors import RequestInProgressError
from image_service.acceptance import Acceptance
from image_service.changes import Changes
from image_service.errors import (
    ChargePendingError,
    GenerationCanceledError,
    GenerationFinishedError,
    GenerationStartedError,
)
from image_service.failures import error_of, failure_of
from image_service.models import UNDECIDED, Generation, Image
from image_service.orders import Order
from image_service.places import Places
from image_service.run import Run
from image_service.runner import Finished
from image_service.store.generations import GenerationStore
from image_service.store.images import ImageStore
from image_service.tasks import GenerationTasks

WAIT_SECONDS = 110.0
"""How long a request waits for its generation: within the gateway's 120 s."""

START_SECONDS = 8.0
"""How long a request that does not wait for its pictures waits to hear whether they can be paid."""

ENDING_SECONDS = 8.0
"""How long a request waits for what is decided to be carried out, such as the charge of pictures that are drawn."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A succeeded generation and what there is of its pictures; ``files`` holds what is at hand by image id."""

    generation: Generation
    images: list[Image]
    is_replay: bool
    files: dict[str, bytes] = field(default_factory=dict)


class ImageService:
    """Orders: each is written down before anything happens, and goes on when its caller leaves.

    Args:
        generations: The orders.
        images: The pictures.
        acceptance: Where orders come in.
        tasks: Who works on the orders.
        places: How much may go on at once.
        changes: Where one hears of what happens to an order.
        max_wait_seconds: How long an order whose client waits may stand in line for the engine.
    """

    def __init__(
        self,
        generations: GenerationStore,
        images: ImageStore,
        acceptance: Acceptance,
        tasks: GenerationTasks,
        places: Places,
        changes: Changes,
        *,
        max_wait_seconds: float,
    ) -> None:
        self._generations = generations
        self._images = images
        self._acceptance = acceptance
        self._tasks = tasks
        self._places = places
        self._changes = changes
        self._max_wait_seconds = max_wait_seconds

    @property
    def is_stopping(self) -> bool:
        """Whether this process takes no new work, and lets nobody wait for a change any more."""
        return self._changes.is_stopping

    def stop(self) -> None:
        """Take no new work; who waits for a change is let go, what is under way goes on."""
        self._changes.stop()

    async def generate(self, user_id: str, order: Order, *, key: str | None, fingerprint: str) -> Delivery:
        """Draw the pictures of an order and charge for those delivered; under a key, only once.

        A failed order frees its key, so that it may be corrected and sent again. Without a key, an order that equals
        one of the user's under way is that one.

        Raises:
            ValidationFailedError: The engine cannot draw this.
            InsufficientCoinsError: The user cannot pay; nothing was drawn.
            ContentRejectedError: The engine's filter refused; nothing is charged.
            ServiceError: It failed; nothing is charged.
            ChargePendingError: It is drawn, and will be delivered under the same key once it is charged.
            IdempotencyKeyReusedError: The key belongs to another request.
            RequestInProgressError: It takes too long to wait for.
        """
        deadline = asyncio.get_running_loop().time() + WAIT_SECONDS
        generation, task = await self._acceptance.accept(
            user_id, order, key, fingerprint, max_wait_seconds=self._max_wait_seconds
        )
        if task is not None:
            await asyncio.wait([task], timeout=WAIT_SECONDS)  # which leaves the task alone, whoever stops waiting
            finished = _result(task)
            if finished is not None:
                return await self._deliver(finished.generation, finished.files, is_replay=False)
        generation = await self._wait_for_decision(generation, deadline)
        return await self._deliver(generation, {}, is_replay=task is None)

    async def start(self, user_id: str, order: Order, *, key: str | None, fingerprint: str) -> tuple[Generation, bool]:
        """Begin an order and return it once its price is set aside, or after ``START_SECONDS`` in any case.

        Returns:
            The generation as far as it came, and whether it was begun by an earlier request.

        Raises:
            ServiceError: Those of ``generate``, if its price could not be set aside.
        """
        deadline = asyncio.get_running_loop().time() + START_SECONDS
        generation, task = await self._acceptance.accept(user_id, order, key, fingerprint, max_wait_seconds=None)
        while generation.state == "accepted" and (left := deadline - asyncio.get_running_loop().time()) > 0:
            if self.is_stopping:
                break
            generation = await self._changes.wait(generation, left)
        if generation.state in ("voiding", "failed") and generation.cover is None:
            raise error_of(generation.failure)
        return generation, task is None

    async def find(self, user_id: str, generation_id: str) -> Generation:
        """Return one of the user's orders.

        Raises:
            GenerationNotFoundError: There is none, or it is somebody else's.
        """
        generation = await self.get_generation(generation_id.lower())
        if generation.user_id != user_id:
            raise GenerationNotFoundError
        return generation

    async def get_generation(self, generation_id: str) -> Generation:
        """Return an order as it is.

        Raises:
            GenerationNotFoundError: There is none, and never was.
        """
        generation = await self._generations.find(generation_id)
        if generation is None:
            raise GenerationNotFoundError
        return generation

    async def wait_for_change(self, generation: Generation, seconds: float) -> Generation:
        """Return an order once it is not as given any more, but after ``seconds`` in any case."""
        return await self._changes.wait(generation, seconds)

    async def cancel(self, user_id: str, generation_id: str) -> Generation:
        """Call an order off before the engine is asked, whichever process works on it; nothing is charged.

        Raises:
            GenerationNotFoundError: There is none, or it is somebody else's.
            GenerationStartedError: The engine has been asked.
            GenerationFinishedError: It has succeeded, or failed.
        """
        generation = await self.find(user_id, generation_id)
        withdrawn = await self._generations.withdraw(user_id, generation.id, failure_of(GenerationCanceledError()))
        if withdrawn is None:
            generation = await self.find(user_id, generation_id)
            if generation.failure is not None and generation.failure.code == GenerationCanceledError.code:
                return generation
            raise GenerationStartedError if generation.state in ("drawing", "stored") else GenerationFinishedError
        self._changes.tell(withdrawn)
        self._places.take_over(user_id)
        task = self._tasks.begin(Run(withdrawn, is_takeover=True))
        await asyncio.wait([task], timeout=ENDING_SECONDS)
        finished = _result(task)
        return finished.generation if finished else withdrawn

    async def images_of(self, generation: Generation) -> list[Image]:
        """Return the pictures of a succeeded order that are not deleted."""
        image_ids = [picture.image_id for picture in generation.pictures]
        return await self._images.find_all(generation.user_id, image_ids) if generation.state == "succeeded" else []

    async def _wait_for_decision(self, generation: Generation, deadline: float) -> Generation:
        """Wait for what somebody else is working on, perhaps in another process."""
        clock = asyncio.get_running_loop().time
        while generation.state in UNDECIDED:
            if clock() >= deadline or self.is_stopping:
                raise RequestInProgressError
            generation = await self._changes.wait(generation, deadline - clock())
        deadline = clock() + ENDING_SECONDS
        while generation.state == "stored" and (left := deadline - clock()) > 0 and not self.is_stopping:
            generation = await self._changes.wait(generation, left)
        return generation

    async def _deliver(self, generation: Generation, files: dict[str, bytes], *, is_replay: bool) -> Delivery:
        if generation.state in ("voiding", "failed"):
            raise error_of(generation.failure)
        if generation.state == "stored":
            raise ChargePendingError
        return Delivery(generation, await self.images_of(generation), is_replay, files)


def _result(task: asyncio.Task[Finished]) -> Finished | None:
    """Return how far a task has brought its generation; ``None`` if somebody else must bring it to its end."""
    if not task.done() or task.cancelled() or task.exception() is not None:
        return None
    return task.result()
