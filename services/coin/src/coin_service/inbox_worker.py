"""Work off the inbox: each message by its source's handler, again and again until it is done or given up."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from prometheus_client import Counter

from coin_service.inbox import InboxStore, Message, Source
from common.clock import utc_now
from common.errors import ServiceError
from common.logging import get_logger
from common.mongo import DATABASE_UNAVAILABLE

logger = get_logger(__name__)

POLL_SECONDS = 2.0
HANDLER_SECONDS = 45.0
"""After that a message is tried again later."""

RENEWALS = 3
"""So often a lease is renewed before it would end."""

FIRST_BACKOFF_SECONDS = 2.0
MAX_BACKOFF_SECONDS = 3600.0
MAX_FAILURES = 60
"""With these pauses about two days: longer than a vendor's outage, shorter than anybody's patience."""

_WAIT: tuple[type[Exception], ...] = (TimeoutError, *DATABASE_UNAVAILABLE)

Handler = Callable[[Message], Awaitable[None]]
"""Does what a message asks for, however often it is called; raises to be called again."""

MESSAGES = Counter("coin_inbox_messages_total", "Messages of vendors worked off", ["source", "outcome"])


class UnusableMessageError(Exception):
    """No repeat will help; ``code`` says why, for an operator."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class PostponedError(Exception):
    """It is too early for this message; nothing is wrong."""

    def __init__(self, *, seconds: float) -> None:
        super().__init__("postponed")
        self.seconds = seconds


class InboxWorker:
    """As many of them as there are processes, and several in each, share the work."""

    def __init__(
        self, store: InboxStore, handlers: Mapping[Source, Handler], *, poll_seconds: float = POLL_SECONDS
    ) -> None:
        self._store = store
        self._handlers = handlers
        self._poll_seconds = poll_seconds
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look into the inbox now instead of at the next poll."""
        self._woken.set()

    async def run(self) -> None:
        """Work off what is due, until cancelled."""
        while True:
            self._woken.clear()
            try:
                await self.work_off()
            except DATABASE_UNAVAILABLE as error:
                logger.warning("inbox waits for the database", error=type(error).__name__)
            except Exception:
                logger.exception("inbox failed")
            try:
                async with asyncio.timeout(self._poll_seconds * random.uniform(0.8, 1.2)):  # noqa: S311 - parts us
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def work_off(self) -> None:
        """Take up messages as long as one is due."""
        while message := await self._store.claim():
            await self.work(message)

    async def work(self, message: Message) -> None:
        """Handle one message that was claimed."""
        code = await self._outcome(message)
        if code is None:
            await self._store.set_done(message)
            MESSAGES.labels(message.source, "done").inc()

    async def _outcome(self, message: Message) -> str | None:
        """Return ``None`` once it is done; else what is wrong, noted in the message."""
        handler = self._handlers.get(message.source)
        if handler is None:
            return await self._bury(message, "no_handler")
        try:
            async with asyncio.timeout(HANDLER_SECONDS), self._kept(message):
                await handler(message)
        except UnusableMessageError as error:
            return await self._bury(message, error.code)
        except PostponedError as error:
            await self._store.set_retry(message, seconds=error.seconds, error="postponed", failures=message.failures)
            return "postponed"
        except ServiceError as error:
            return await self._repeat(message, error.code)
        except _WAIT as error:
            return await self._repeat(message, type(error).__name__)
        except Exception:
            logger.exception("inbox message failed", message_id=message.id, type=message.type)
            return await self._repeat(message, "internal_error")
        return None

    @asynccontextmanager
    async def _kept(self, message: Message) -> AsyncIterator[None]:
        """Renew the lease meanwhile: a slow handler is not joined by a second one, a killed one is soon."""
        renewing = asyncio.create_task(self._renew(message))
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.wait([renewing])

    async def _renew(self, message: Message) -> None:
        is_mine = True
        while is_mine:
            await asyncio.sleep(self._store.lease_seconds / RENEWALS)
            try:
                is_mine = await self._store.renew(message)
            except DATABASE_UNAVAILABLE as error:
                logger.warning("inbox lease was not renewed", message_id=message.id, error=type(error).__name__)
        # Both may go on: handlers may be repeated, and what a message becomes is set by who has it.
        logger.warning("inbox message was taken over", message_id=message.id)

    async def _repeat(self, message: Message, code: str) -> str:
        failures = message.failures + 1
        if failures >= MAX_FAILURES:
            return await self._bury(message, code)
        wait = min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** min(failures - 1, 12))
        logger.warning("inbox message postponed", message_id=message.id, error=code, again_in_seconds=wait)
        await self._store.set_retry(message, seconds=wait, error=code, failures=failures)
        MESSAGES.labels(message.source, "retry").inc()
        return code

    async def _bury(self, message: Message, code: str) -> str:
        age = (utc_now() - message.received_at).total_seconds()
        logger.error("inbox message is dead", message_id=message.id, type=message.type, error=code, age_seconds=age)
        await self._store.set_dead(message, error=code)
        MESSAGES.labels(message.source, "dead").inc()
        return code
