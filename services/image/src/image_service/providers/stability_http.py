"""One call of Stability's REST API, of whichever generation: bounded, guarded, and its refusals told in our words."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from common.http import BodyTooLargeError, read_capped
from common.logging import get_logger
from image_service.errors import (
    ContentRejectedError,
    ProviderFailedError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    TooBusyError,
)
from image_service.providers.alarms import Alarms
from image_service.providers.breaker import Attempt, Breaker, BreakerOpenError
from image_service.providers.stability_refusals import MAX_WAITED_SECONDS, Refusal, read_refusal

logger = get_logger(__name__)

ReadT = TypeVar("ReadT")

MAX_DECODING = 2
"""Answers unpacked at once; each needs several times its own size meanwhile."""

MAX_REFUSAL_BYTES = 64 * 1024

UNREADABLE = (httpx.ConnectError, httpx.ConnectTimeout)
"""Failures before a byte of the request left: it may be sent again."""


@dataclass(frozen=True, slots=True)
class Call:
    """What is sent to one address, as JSON or as the fields of a form, and the most that may come back."""

    path: str
    accept: str
    max_bytes: int
    json: dict[str, Any] | None = None
    fields: dict[str, str] | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        if self.fields is None:
            return {"json": self.json}
        # As "files" without a name, since v2beta reads nothing but multipart/form-data.
        return {"files": [(name, (None, value)) for name, value in self.fields.items()]}


@dataclass(frozen=True, slots=True)
class Answer:
    """A success, as far as HTTP goes."""

    body: bytes
    headers: httpx.Headers


class StabilityHttp:
    """The way to the vendor, shared by all orders of this process.

    Args:
        client: With the vendor's address and our key.
        timeout_seconds: Of a whole call, waiting for a place included, however slowly its answer comes.
        max_calls: In flight at once.
        max_wait_seconds: For a place among them.
    """

    def __init__(
        self, client: httpx.AsyncClient, *, timeout_seconds: float, max_calls: int, max_wait_seconds: float
    ) -> None:
        self._client = client
        self._timeout_seconds = timeout_seconds
        self._max_wait_seconds = min(max_wait_seconds, timeout_seconds)
        self._places = asyncio.Semaphore(max_calls)
        self._decoding = asyncio.Semaphore(MAX_DECODING)
        self._breaker = Breaker()
        self._alarms = Alarms()
        self._quiet_until = 0.0
        """Until when the vendor has asked not to be called, by the event loop's clock."""

    def ensure_available(self) -> None:
        """Refuse while it is known that a call would fail.

        Raises:
            ProviderUnavailableError: With the seconds until it is worth another try.
        """
        quiet = self._quiet_seconds()
        seconds = max(self._breaker.seconds_left, quiet if quiet > MAX_WAITED_SECONDS else 0.0)
        if seconds > 0:
            raise _later(seconds)

    async def call(self, call: Call, read: Callable[[Answer], ReadT], *, order: Hashable) -> ReadT:
        """Make one call and return what ``read`` makes of its answer.

        Args:
            call: What to send; it is sent once, unless no connection could be made.
            read: Blocking; runs in a thread. Raises ``ContentRejectedError``, or ``ProviderFailedError`` for what
                cannot be used.
            order: Which it is for; all calls of one order that fail count as one failure.

        Raises:
            ServiceError: Those of ``Provider.draw``.
        """
        deadline = asyncio.get_running_loop().time() + self._timeout_seconds
        async with self._place():
            await self._keep_quiet()
            try:
                async with self._breaker.attempt(order) as attempt:
                    return await self._make(call, read, attempt, deadline)
            except BreakerOpenError as error:
                raise _later(error.seconds) from error

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._max_wait_seconds):
                await self._places.acquire()
        except TimeoutError as error:
            raise TooBusyError from error
        try:
            yield
        finally:
            self._places.release()

    async def _keep_quiet(self) -> None:
        while (seconds := self._quiet_seconds()) > 0:
            if seconds > MAX_WAITED_SECONDS:
                raise _later(seconds)
            await asyncio.sleep(seconds)

    def _quiet_seconds(self) -> float:
        return self._quiet_until - asyncio.get_running_loop().time()

    async def _make(self, call: Call, read: Callable[[Answer], ReadT], attempt: Attempt, deadline: float) -> ReadT:
        try:
            async with asyncio.timeout_at(deadline):
                try:
                    answer = await self._send(call, attempt)
                except UNREADABLE:
                    answer = await self._send(call, attempt)
                async with self._decoding:
                    return await asyncio.to_thread(read, answer)
        except ContentRejectedError:
            attempt.answered()
            raise
        except UNREADABLE as error:
            raise ProviderUnavailableError(is_repeatable=True) from error
        except (TimeoutError, httpx.TimeoutException) as error:
            raise ProviderTimeoutError from error
        except httpx.HTTPError as error:
            raise ProviderFailedError(is_repeatable=True) from error

    async def _send(self, call: Call, attempt: Attempt) -> Answer:
        headers = {"Accept": call.accept}
        async with self._client.stream("POST", call.path, headers=headers, **call.arguments) as response:
            if response.status_code == httpx.codes.OK:
                return Answer(await _read(response, call.max_bytes), response.headers)
            refusal = read_refusal(response, await _read(response, MAX_REFUSAL_BYTES))
        self._note(refusal, attempt)
        raise refusal.error

    def _note(self, refusal: Refusal, attempt: Attempt) -> None:
        if refusal.is_answered:
            attempt.answered()
        if refusal.trouble is not None:
            self._alarms.tell(refusal.trouble, status=refusal.status, name=refusal.name)
        if refusal.quiet_seconds:
            until = asyncio.get_running_loop().time() + refusal.quiet_seconds
            self._quiet_until = max(self._quiet_until, until)


async def _read(response: httpx.Response, max_bytes: int) -> bytes:
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise ProviderFailedError(is_repeatable=True)  # we asked for none, and a packed answer may be a bomb
    try:
        return await read_capped(response, max_bytes)
    except BodyTooLargeError as error:
        logger.error("the engine's answer is too large", max_bytes=max_bytes)
        raise ProviderFailedError(is_repeatable=True) from error


def _later(seconds: float) -> ProviderUnavailableError:
    return ProviderUnavailableError(retry_after_seconds=max(1, math.ceil(seconds)))
