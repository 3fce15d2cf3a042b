"""Following a generation: a look at it, a wait for its end, or every change as it comes."""

import asyncio
from collections.abc import AsyncIterator

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from common.logging import get_logger
from common.mongo import DATABASE_UNAVAILABLE
from image_service.gallery import Gallery
from image_service.generation_schemas import FollowedGenerationRead
from image_service.models import Generation
from image_service.schemas import GeneratedImageRead
from image_service.service import ImageService
from image_service.standing import event_number, is_final, status_of

logger = get_logger(__name__)

RECONNECT_MILLISECONDS = 1000
"""How long a client waits before it comes back to a stream that has ended."""

KEEP_ALIVE_SECONDS = 15.0
"""Between two signs of life in a stream: less than proxies allow a silence to last."""

DATABASE_PAUSE_SECONDS = 1.0

MAX_EVENT_NUMBER_DIGITS = 18


class Following:
    """Any process may be asked about any generation, whoever draws it.

    Args:
        service: Where generations are found and waited for.
        gallery: Gives their pictures' addresses.
        stream_seconds: Life of one stream; its client then comes back for what it has not seen.
        keep_alive_seconds: Between two signs of life.
    """

    def __init__(
        self,
        service: ImageService,
        gallery: Gallery,
        *,
        stream_seconds: float,
        keep_alive_seconds: float = KEEP_ALIVE_SECONDS,
    ) -> None:
        self._service = service
        self._gallery = gallery
        self._stream_seconds = stream_seconds
        self._keep_alive_seconds = keep_alive_seconds

    async def read(self, generation: Generation) -> FollowedGenerationRead:
        """Describe a generation, with the addresses of its pictures once they are its user's."""
        images = await self._service.images_of(generation) if generation.state == "succeeded" else []
        return FollowedGenerationRead.of(
            generation,
            [GeneratedImageRead.of(image, urls=await self._gallery.urls(image), image_data=None) for image in images],
        )

    async def until_final(self, generation: Generation, seconds: float) -> Generation:
        """Return a generation once it has ended, or as it is after ``seconds``."""
        clock = asyncio.get_running_loop().time
        end = clock() + seconds
        while not is_final(generation) and not self._service.is_stopping and (left := end - clock()) > 0:
            generation = await self._service.wait_for_change(generation, left)
        return generation

    def has_seen_all(self, generation: Generation, last_event_id: str | None) -> bool:
        """Whether a client that comes back has seen a generation's end."""
        return is_final(generation) and _number(last_event_id) == event_number(generation)

    async def events(self, generation: Generation, last_event_id: str | None) -> AsyncIterator[bytes]:
        """Tell of every change after the one numbered ``last_event_id``, to the last or to the end of the stream."""
        seen = _number(last_event_id)
        if seen > event_number(generation):
            seen = 0  # no number of ours
        clock = asyncio.get_running_loop().time
        end = clock() + self._stream_seconds
        yield format_sse_event(retry=RECONNECT_MILLISECONDS)
        while not self._service.is_stopping and (left := end - clock()) > 0:
            is_quiet = True
            try:
                if event_number(generation) > seen:
                    yield await self._event(generation)
                    seen = event_number(generation)
                if is_final(generation):
                    return
                version = generation.version
                generation = await self._service.wait_for_change(generation, min(left, self._keep_alive_seconds))
                is_quiet = generation.version == version
            except DATABASE_UNAVAILABLE:
                await asyncio.sleep(DATABASE_PAUSE_SECONDS)  # whose return is no reason to let the client go
            if is_quiet:
                yield KEEPALIVE_COMMENT

    async def _event(self, generation: Generation) -> bytes:
        status = status_of(generation)
        return format_sse_event(
            event="progress" if not is_final(generation) else "succeeded" if status == "succeeded" else "failed",
            data_str=(await self.read(generation)).model_dump_json(by_alias=True),
            id=str(event_number(generation)),
        )


def _number(last_event_id: str | None) -> int:
    """Read the number of an event; 0, which is before all, from what is none."""
    text = last_event_id or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MAX_EVENT_NUMBER_DIGITS else 0
