"""Kills a process of the image service at one exact message of one order, from outside: it sits on the links."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from links.http import http
from links.link import Link
from links.messages import Cut, Fault, Message
from links.mongo import mongo

_OBJECT_ID = re.compile(rb"(?<![0-9a-f])[0-9a-f]{24}(?![0-9a-f])")


@dataclass(frozen=True, slots=True)
class Step:
    """One message that an order makes the image service send; ``number`` counts those of the same name from 0."""

    name: str
    number: int

    def __str__(self) -> str:
        return f"{self.name} ({self.number + 1})" if self.number else self.name


@dataclass
class Assassin:
    """Watches every message that belongs to one order; strikes at one of them if told to.

    Attributes:
        marks: What tells the order's messages from others: the user's id, a word of the prompt; ids made on the way are
            added.
        target: Where to strike; nowhere without it.
        is_after: Strike when the message was carried out, before its answer arrives; else before it is passed on.
        kill: Ends the process.
        steps: All that was seen.
    """

    marks: set[bytes]
    target: Step | None = None
    is_after: bool = False
    kill: Callable[[], None] | None = None
    steps: list[Step] = field(default_factory=list)
    has_struck: bool = False
    _seen: Counter[str] = field(default_factory=Counter)
    _under_way: dict[int, Step] = field(default_factory=dict)

    async def on_request(self, message: Message) -> Fault | None:
        if not any(mark in message.content for mark in self.marks):
            return None
        name = f"{message.link} {message.name}"
        for mark in self.marks:
            name = name.replace(mark.decode(), "…")
        if message.link == "database":
            self.marks.update(_OBJECT_ID.findall(message.content))
        step = Step(name, self._seen[name])
        self._seen[name] += 1
        self.steps.append(step)
        self._under_way[id(message)] = step
        return None if self.is_after else await self._strike(step)

    async def on_answer(self, message: Message) -> Cut | None:
        step = self._under_way.pop(id(message), None)
        return await self._strike(step) if step is not None and self.is_after else None

    async def _strike(self, step: Step) -> Cut | None:
        if self.has_struck:
            return Cut()  # what a dead process sent at the same moment
        if step != self.target or self.kill is None:
            return None
        self.has_struck = True
        await asyncio.to_thread(self.kill)
        return Cut()


@asynccontextmanager
async def watched(environment: Mapping[str, str], tap: Assassin) -> AsyncIterator[dict[str, str]]:
    """Lay links between image and all it talks to; yields the environment with their addresses."""
    addresses = {
        "coin": "COIN_URL",
        "subscription": "SUBSCRIPTION_URL",
        "engine": "STABILITY_API_BASE",
    }
    changed = dict(environment)
    async with AsyncExitStack() as opened:
        for name, variable in addresses.items():
            port = urlsplit(environment[variable]).port
            assert port is not None
            link = await opened.enter_async_context(Link(name, http, [port], tap=tap).listening())
            changed[variable] = link.url
        port = urlsplit(environment["MONGO_URI"]).port
        assert port is not None
        link = await opened.enter_async_context(Link("database", mongo, [port], tap=tap).listening())
        # Directly: the set's own address would lead past the link.
        changed["MONGO_URI"] = f"mongodb://127.0.0.1:{link.port}/?directConnection=true"
        yield changed
