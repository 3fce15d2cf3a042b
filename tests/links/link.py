"""One listening address in front of one or several targets."""

import asyncio
import contextlib
import itertools
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from links.messages import Open, Tap

LIMIT_BYTES = 1 << 20
"""Of one line of a head; bodies may be of any size."""

CONNECT_SECONDS = 1.0
ACCEPTING_TURNS = 3
"""Of the loop, until what was accepted a moment ago is a conversation that can be broken."""

_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class End:
    """One side of a conversation."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, content: bytes) -> None:
        self.writer.write(content)
        await self.writer.drain()

    def close(self) -> None:
        """Close once everything was sent."""
        self.writer.close()

    def reset(self) -> None:
        """Close so that the other side notices at once, as it would if this process had died."""
        connection: socket.socket | None = self.writer.get_extra_info("socket")
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.writer.transport.abort()


class Protocolled(Protocol):
    """What is spoken over a link: relays one connection until either side ends it."""

    async def __call__(self, link: "Link", caller: End, target: End) -> None: ...


class Link:
    """Accepts connections and relays each to the next target that answers.

    Attributes:
        tap: Decides what becomes of each message; may be exchanged at any time.
        is_open: While it is not, nobody gets in: connections are reset as soon as they are made.
    """

    def __init__(self, name: str, speaks: Protocolled, ports: Sequence[int], *, tap: Tap | None = None) -> None:
        self.name = name
        self.tap: Tap = tap or Open()
        self.is_open = True
        self._speaks = speaks
        self._ports = tuple(ports)
        self._turn = itertools.count()
        self._port = 0
        self._conversations: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Link"]:
        """Listen on a free port to the end of the block."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=LIMIT_BYTES)
        self._port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for _ in range(ACCEPTING_TURNS):
                await asyncio.sleep(0)
                await self.cut_all()

    async def cut_all(self) -> None:
        """Break every conversation that goes on now."""
        going_on = tuple(self._conversations)
        for conversation in going_on:
            conversation.cancel()
        await asyncio.gather(*going_on, return_exceptions=True)

    async def connect(self) -> End | None:
        """Connect to the next target that answers; ``None`` if none does."""
        first = next(self._turn)
        for offset in range(len(self._ports)):
            port = self._ports[(first + offset) % len(self._ports)]
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(CONNECT_SECONDS):
                    return End(*await asyncio.open_connection("127.0.0.1", port, limit=LIMIT_BYTES))
        return None

    def keep(self, conversation: asyncio.Task[None]) -> None:
        """Remember a task of this link until it ends: a late delivery goes on when its caller is gone."""
        self._conversations.add(conversation)
        conversation.add_done_callback(self._conversations.discard)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = asyncio.current_task()
        assert conversation is not None
        self.keep(conversation)
        caller, target = End(reader, writer), None
        try:
            if not self.is_open or (target := await self.connect()) is None:
                return
            await self._speaks(self, caller, target)
            caller.close()
            target.close()
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # one side is gone, or the link broke it: so is the other then
        finally:
            for end in (caller, target):
                if end is not None and not end.writer.is_closing():
                    end.reset()
