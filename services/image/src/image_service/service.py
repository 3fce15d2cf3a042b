"""The rules of generation: who draws, and who waits for whom."""

import asyncio
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from common.clients.image import GenerationNotFoundError
from common.clock import utc_now
from common.errors import IdempotencyKeyReusedError, RequestInProgressError, ServiceUnavailableError
from common.logging import get_logger
from common.mongo import new_id
from image_service.errors import ChargePendingError
from image_service.failures import error_of
from image_service.models import Generation, Image, Order
from image_service.places import Places
from image_service.providers import Provider
from image_service.runner import Finished, GenerationRunner
from image_service.store.generations import GenerationStore
from image_service.store.images import ImageStore

logger = get_logger(__name__)

WAIT_SECONDS = 110.0
"""How long a request waits for its generation: within the gateway's 120 s."""

CHARGE_WAIT_SECONDS = 8.0
"""How long a repeated request waits for the charge of pictures that are drawn already."""

JOIN_POLL_SECONDS = 0.2
"""Between two looks at a generation that another request, perhaps in another process, is working on."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A succeeded generation and what there is of its pictures; ``files`` holds what is at hand by image id."""

    generation: Generation
    images: list[Image]
    is_replay: bool
    files: dict[str, bytes] = field(default_factory=dict)


class ImageService:
    """Orders: each is written down before anything happens, and goes on when its caller leaves."""

    def __init__(
        self,
        generations: GenerationStore,
        images: ImageStore,
        runner: GenerationRunner,
        provider: Provider,
        places: Places,
        *,
        coins_per_image: int,
    ) -> None:
        self._generations = generations
        self._images = images
        self._runner = runner
        self._provider = provider
        self._places = places
        self._coins_per_image = coins_per_image
        self._running: dict[str, asyncio.Task[Finished]] = {}
        self._key_locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    @property
    def running(self) -> list[str]:
        """Ids of the generations this process works on."""
        return list(self._running)

    async def generate(self, user_id: str, order: Order, *, key: str | None, fingerprint: str) -> Delivery:
        """Draw the pictures of an order and charge for those delivered; under a key, only once.

        A failed order frees its key, so that it may be corrected and sent again.

        Raises:
            ValidationFailedError: The engine cannot draw this.
            InsufficientCoinsError: The user cannot pay; nothing was drawn.
            ContentRejectedError: The engine's filter refused; nothing is charged.
            ServiceError: It failed; nothing is charged.
            ChargePendingError: It is drawn, and will be delivered under the same key once it is charged.
            IdempotencyKeyReusedError: The key belongs to another request.
            RequestInProgressError: It takes too long to wait for.
        """
        self._provider.check(order)
        generation = self._new_generation(user_id, order, key, fingerprint)
        task = None
        # Equal keys take turns in this process; between processes the store's index decides.
        async with self._key_locks.setdefault((user_id, key or generation.id), asyncio.Lock()):
            earlier = await self._find_earlier(user_id, key)
            if earlier is None:
                task = await self._start(generation)
        if task is not None:
            return await self._wait(task)
        earlier = earlier or await self._find_earlier(user_id, key)
        if earlier is None:
            raise RequestInProgressError  # another process was quicker, and has failed since: the key is free again
        if earlier.fingerprint != fingerprint:
            raise IdempotencyKeyReusedError
        return await self._join(earlier)

    async def get_generation(self, generation_id: str) -> Generation:
        """Return an order as it is.

        Raises:
            GenerationNotFoundError: There is none, and never was.
        """
        generation = await self._generations.find(generation_id)
        if generation is None:
            raise GenerationNotFoundError
        return generation

    async def drain(self, seconds: float) -> None:
        """Wait for what is being drawn; what is left after ``seconds`` is handed over to whoever comes next."""
        if self._running:
            await asyncio.wait(self._running.values(), timeout=seconds)
        left = dict(self._running)
        for task in left.values():
            task.cancel()
        await asyncio.gather(*left.values(), return_exceptions=True)
        for generation_id in left:
            await self._generations.hand_over(generation_id, seconds=0)

    def _new_generation(self, user_id: str, order: Order, key: str | None, fingerprint: str) -> Generation:
        return Generation(
            id=new_id(),
            user_id=user_id,
            key=key,
            holds_key=key is not None,
            fingerprint=fingerprint,
            order=order,
            coins_per_image=self._coins_per_image,
            state="accepted",
            open=True,
            created_at=utc_now(),
        )

    async def _find_earlier(self, user_id: str, key: str | None) -> Generation | None:
        return None if key is None else await self._generations.find_by_key(user_id, key)

    async def _start(self, generation: Generation) -> asyncio.Task[Finished] | None:
        """Write the order down and begin it; ``None`` if another process has just taken its key."""
        self._places.take(generation.user_id)
        try:
            is_first = await self._generations.add(generation)
        except BaseException:
            self._places.give_back(generation.user_id)
            raise
        if not is_first:
            self._places.give_back(generation.user_id)
            return None
        # A task of its own, kept here: it must end neither with the request nor with a collection of garbage.
        task = asyncio.create_task(self._runner.run(generation), name=f"generation:{generation.id}")
        self._running[generation.id] = task

        def ended(task: asyncio.Task[Finished]) -> None:
            del self._running[generation.id]
            self._places.give_back(generation.user_id)
            if not task.cancelled() and (error := task.exception()) is not None:
                logger.error("generation left to the recovery", generation_id=generation.id, exc_info=error)

        task.add_done_callback(ended)
        return task

    async def _wait(self, task: asyncio.Task[Finished]) -> Delivery:
        await asyncio.wait([task], timeout=WAIT_SECONDS)  # which leaves the task alone, whatever becomes of the waiter
        if not task.done():
            raise RequestInProgressError
        if task.cancelled():
            raise ServiceUnavailableError
        finished = task.result()
        return await self._deliver(finished.generation, finished.files, is_replay=False)

    async def _join(self, generation: Generation) -> Delivery:
        """Wait for what another request began; it may run in another process."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + WAIT_SECONDS
        while generation.state in ("accepted", "drawing"):
            if clock() > deadline:
                raise RequestInProgressError
            await asyncio.sleep(JOIN_POLL_SECONDS)
            generation = await self._generations.get(generation.id)
        deadline = clock() + CHARGE_WAIT_SECONDS
        while generation.state == "stored" and clock() < deadline:
            await asyncio.sleep(JOIN_POLL_SECONDS)
            generation = await self._generations.get(generation.id)
        return await self._deliver(generation, {}, is_replay=True)

    async def _deliver(self, generation: Generation, files: dict[str, bytes], *, is_replay: bool) -> Delivery:
        if generation.state in ("voiding", "failed"):
            raise error_of(generation.failure)
        if generation.state == "stored":
            raise ChargePendingError
        images = await self._images.find_all(generation.user_id, [picture.image_id for picture in generation.pictures])
        return Delivery(generation, images, is_replay, files)
