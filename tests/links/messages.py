"""What passes over a link, and what may become of it."""

import asyncio
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Message:
    """One request, whole: of HTTP its head and body as bytes, of MongoDB one wire message."""

    link: str
    name: str
    """What is asked, for people: ``POST /internal/holds``, ``generations: drawing``."""

    content: bytes


@dataclass(frozen=True, slots=True)
class Cut:
    """Break both connections; of an answer: it is lost after the request was carried out."""


@dataclass(frozen=True, slots=True)
class Slow:
    """Pass it on later."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Late:
    """Break the caller's connection, and deliver the request all the same, later; its answer reaches nobody."""

    seconds: float


Fault = Cut | Slow | Late


class Tap(Protocol):
    """Sees every message of a link before it goes on, and decides what becomes of it; ``None`` lets it pass."""

    async def on_request(self, message: Message) -> Fault | None: ...

    async def on_answer(self, message: Message) -> Cut | Slow | None:
        """Decide about the answer to ``message``, which was carried out."""


class Open:
    """Lets everything pass."""

    async def on_request(self, message: Message) -> Fault | None:
        return None

    async def on_answer(self, message: Message) -> Cut | Slow | None:
        return None


class CutError(ConnectionError):
    """The link broke this conversation on purpose."""


async def passes(fault: Cut | Slow | None) -> None:
    """Wait as long as the fault says.

    Raises:
        CutError: It says that nothing passes.
    """
    if isinstance(fault, Slow):
        await asyncio.sleep(fault.seconds)
    elif isinstance(fault, Cut):
        raise CutError
