"""Processes that die, sleep or go deaf at one step of their work, for tests of what others make of it."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast

import httpx

from common.mongo import DATABASE_UNAVAILABLE

Ending = Literal[
    "dies before",
    "dies after",
    "dies, and it comes late",
    "sleeps before",
    "sleeps after",
    "hears nothing, and it never came",
    "hears nothing, and it came",
    "hears nothing, and it comes late",
]
"""What happens at a step. Asleep is a process that is paused, and taken for dead; late is after others went on."""

T = TypeVar("T")


class KilledError(BaseException):
    """As ``kill -9``: nothing that the code does about it has any effect, since all of it goes through ``Fate``."""


@dataclass(frozen=True, slots=True)
class Doom:
    """At its step number ``step``, from 0, this happens to a process."""

    step: int
    ending: Ending


class Fate:
    """One process: every message that it sends goes through ``take``.

    Attributes:
        steps: The names of what it sent, or was about to.
        struck: The one at which its doom came.
        late: What it sent and nobody has received yet.
        asleep: Set when it falls asleep.
    """

    def __init__(self, doom: Doom | None = None) -> None:
        self.steps: list[str] = []
        self.struck: str | None = None
        self.late: list[Callable[[], Awaitable[Any]]] = []
        self.asleep = asyncio.Event()
        self._doom = doom
        self._is_dead = False
        self._awake = asyncio.Event()
        self._awake.set()

    @property
    def is_unheard(self) -> bool:
        """Whether its fateful message came late, or its answer not at all."""
        return self._doom is not None and self._doom.ending.startswith(("hears", "dies, and"))

    def wake(self) -> None:
        self._awake.set()

    async def take(self, name: str, action: Callable[[], Awaitable[T]], *, lost: Exception) -> T:
        """Do one step, unless it is the fateful one; ``lost`` is what its sender is told without an answer."""
        await self._go_on()
        self.steps.append(name)
        if self._doom is None or len(self.steps) != self._doom.step + 1:
            result = await action()
            await self._go_on()
            return result
        self.struck = name
        match self._doom.ending:
            case "dies before":
                await self._die()
            case "dies after":
                await action()
                await self._die()
            case "dies, and it comes late":
                self.late.append(action)
                await self._die()
            case "sleeps before":
                await self._sleep()
                return await action()
            case "sleeps after":
                result = await action()
                await self._sleep()
                return result
            case "hears nothing, and it came":
                await action()
            case "hears nothing, and it comes late":
                self.late.append(action)
            case "hears nothing, and it never came":
                pass
        raise lost

    async def _go_on(self) -> None:
        await self._awake.wait()
        if self._is_dead:
            raise KilledError

    async def _die(self) -> None:
        self._is_dead = True
        await self._go_on()

    async def _sleep(self) -> None:
        self._awake.clear()
        self.asleep.set()
        await self._awake.wait()


class _Mortal:
    """Stands for an object; these of its methods are steps."""

    def __init__(self, target: object, fate: Fate, steps: Collection[str], lost: Exception) -> None:
        self._target, self._fate, self._steps, self._lost = target, fate, steps, lost

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)
        if name not in self._steps:
            return method

        async def step(*arguments: Any, **named: Any) -> Any:
            return await self._fate.take(name, lambda: method(*arguments, **named), lost=self._lost)

        return step


def mortal(target: T, fate: Fate, *steps: str, lost: Exception | None = None) -> T:
    """Return ``target`` as one process has it: these of its methods are steps of that process.

    Args:
        target: A store, or a storage.
        fate: The process's.
        steps: Names of asynchronous methods.
        lost: What they raise without an answer; by default what the database's driver does.
    """
    return cast(T, _Mortal(target, fate, steps, lost or DATABASE_UNAVAILABLE[0]("lost on purpose")))


class MortalTransport(httpx.AsyncBaseTransport):
    """The way of one process to others: every request is a step."""

    def __init__(self, transport: httpx.AsyncBaseTransport, fate: Fate) -> None:
        self._transport, self._fate = transport, fate

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        lost = httpx.ReadError("lost on purpose", request=request)
        name = request.url.path.split("/")[2 if request.url.host.startswith(("coin", "subscription")) else -1]
        return await self._fate.take(name, lambda: self._transport.handle_async_request(request), lost=lost)
