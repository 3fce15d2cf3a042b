"""Who waits for a generation to change hears of it at once from this process, and soon from any other."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field

from image_service.models import Generation
from image_service.store.generations import GenerationStore

POLL_SECONDS = 0.2
"""Between two looks at what is waited for: another process may be working on it."""


@dataclass(eq=False)
class _Waiter:
    version: int
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Changes:
    """Waiters by generation; one look at the database serves all of them."""

    def __init__(self, generations: GenerationStore) -> None:
        self._generations = generations
        self._waiters: defaultdict[str, set[_Waiter]] = defaultdict(set)
        self.is_stopping = False

    def tell(self, generation: Generation) -> None:
        """Wake those who wait for this one."""
        self._tell(generation.id, generation.version)

    async def poll(self) -> None:
        """Look for changes that other processes made."""
        for generation_id, version in (await self._generations.versions(list(self._waiters))).items():
            self._tell(generation_id, version)

    def stop(self) -> None:
        """Wake everybody, and let nobody wait from now on."""
        self.is_stopping = True
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.changed.set()

    async def wait(self, generation: Generation, seconds: float) -> Generation:
        """Return the generation once it is not as given any more, but after ``seconds`` in any case."""
        waiter = _Waiter(generation.version)
        self._waiters[generation.id].add(waiter)
        try:
            current = await self._generations.get(generation.id)
            if current.version != generation.version or not current.open or self.is_stopping:
                return current
            async with asyncio.timeout(seconds):
                await waiter.changed.wait()
        except TimeoutError:
            pass
        finally:
            self._waiters[generation.id].discard(waiter)
            if not self._waiters[generation.id]:
                del self._waiters[generation.id]
        return await self._generations.get(generation.id)

    def _tell(self, generation_id: str, version: int) -> None:
        for waiter in self._waiters.get(generation_id, ()):
            if waiter.version != version:
                waiter.changed.set()
