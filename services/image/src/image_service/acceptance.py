"""Orders as they come in: each is written down once, before anything happens."""

import asyncio
from weakref import WeakValueDictionary

from common.clock import utc_now
from common.errors import IdempotencyKeyReusedError, RequestInProgressError, ServiceUnavailableError
from common.mongo import DATABASE_UNAVAILABLE, new_id
from image_service.changes import Changes
from image_service.failures import failure_of
from image_service.models import Generation
from image_service.moves import surely
from image_service.orders import Order
from image_service.places import Places
from image_service.providers import Provider
from image_service.run import Run
from image_service.runner import Finished
from image_service.store.generations import GenerationStore
from image_service.tasks import GenerationTasks


class Acceptance:
    """Finds out whether a request is a repeat, and begins it if it is not.

    Args:
        generations: The orders.
        tasks: Who works on the orders.
        provider: The engine.
        places: How much may go on at once.
        changes: Knows whether this process is about to stop.
        coins_per_image: The price.
    """

    def __init__(
        self,
        generations: GenerationStore,
        tasks: GenerationTasks,
        provider: Provider,
        places: Places,
        changes: Changes,
        *,
        coins_per_image: int,
    ) -> None:
        self._generations = generations
        self._tasks = tasks
        self._provider = provider
        self._places = places
        self._changes = changes
        self._coins_per_image = coins_per_image
        self._key_locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self._withdrawals: set[asyncio.Task[None]] = set()

    async def accept(
        self, user_id: str, order: Order, key: str | None, fingerprint: str, *, max_wait_seconds: float | None
    ) -> tuple[Generation, asyncio.Task[Finished] | None]:
        """Return an order's record, and the task that works on it if it is new.

        Raises:
            ValidationFailedError: The engine cannot draw this.
            IdempotencyKeyReusedError: The key belongs to another request.
            RequestInProgressError: Another process has just been done with it; the next try is a new order.
            ServiceError: There is no place for it, here or at the engine.
        """
        # Equal requests take turns in this process; between processes the store's indexes decide.
        async with self._key_locks.setdefault((user_id, key or fingerprint), asyncio.Lock()):
            earlier = await self._find_earlier(user_id, key, fingerprint)
            if earlier is None:
                generation = self._new_generation(user_id, order, key, fingerprint)
                added = await self._add(generation)
                if added is not None:
                    return added, self._tasks.begin(Run(added, max_wait_seconds=max_wait_seconds))
                earlier = await self._find_earlier(user_id, key, fingerprint)
        if earlier is None:
            raise RequestInProgressError  # another process was quicker, and is done since: there is room again
        if earlier.fingerprint != fingerprint:
            raise IdempotencyKeyReusedError
        return earlier, None

    def _new_generation(self, user_id: str, order: Order, key: str | None, fingerprint: str) -> Generation:
        return Generation(
            id=new_id(),
            user_id=user_id,
            key=key,
            holds_key=key is not None,
            joins=key is None,
            fingerprint=fingerprint,
            order=order,
            coins_per_image=self._coins_per_image,
            state="accepted",
            open=True,
            created_at=utc_now(),
        )

    async def _find_earlier(self, user_id: str, key: str | None, fingerprint: str) -> Generation | None:
        if key is None:
            return await self._generations.find_joined(user_id, fingerprint)
        return await self._generations.find_by_key(user_id, key)

    async def _add(self, generation: Generation) -> Generation | None:
        """Take a place and write the order down; ``None`` if another process has just written an equal one."""
        self._provider.check(generation.order)  # not before: a repeat is answered whatever the engine takes by now
        if self._changes.is_stopping:
            raise ServiceUnavailableError
        self._provider.ensure_available()
        self._places.take(generation.user_id)
        added = None
        try:
            added = await self._generations.add(generation)
        except DATABASE_UNAVAILABLE:
            # It may be there all the same, but the client is told that it is not.
            self._withdraw(generation)
            raise
        finally:
            if added is None:
                self._places.give_back(generation.user_id)
        return added

    def _withdraw(self, generation: Generation) -> None:
        failure = failure_of(ServiceUnavailableError())

        async def withdraw() -> None:
            withdrawn = await surely(self._generations.withdraw, generation.user_id, generation.id, failure)
            if withdrawn is not None:
                self._places.take_over(generation.user_id)
                self._tasks.begin(Run(withdrawn, is_takeover=True))

        task = asyncio.create_task(withdraw())
        self._withdrawals.add(task)
        task.add_done_callback(self._withdrawals.discard)
