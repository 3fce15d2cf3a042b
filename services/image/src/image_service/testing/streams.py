"""One process of the service on a real socket, and its streams of events as a browser reads them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

FOX = {"prompt": "a red fox in the snow"}
SECONDS = 20.0

Json = dict[str, Any]


@dataclass(frozen=True)
class Event:
    """One event as a browser would hand it on."""

    name: str
    id: str
    data: Json

    @property
    def standing(self) -> tuple[str, int]:
        return self.data["status"], self.data["progress"]


@dataclass(frozen=True)
class Process:
    """One process of the service on a real socket."""

    app: FastAPI
    server: uvicorn.Server
    client: httpx.AsyncClient

    async def order(self, **body: Any) -> str:
        headers = {"Prefer": "respond-async"}
        answer = await self.client.post("/api/image/generate", json=FOX | body, headers=headers)
        assert answer.status_code == 202, answer.text
        return str(answer.headers["location"])

    @asynccontextmanager
    async def events(self, location: str, last: str | None = None) -> AsyncIterator["Stream"]:
        headers = {} if last is None else {"Last-Event-ID": last}
        async with self.client.stream("GET", f"{location}/events", headers=headers) as response:
            yield Stream(response)

    async def rest(self, location: str, last: str | None = None) -> list[Event]:
        """Return what a stream tells to its end."""
        async with self.events(location, last) as stream:
            return [event async for event in stream]

    @property
    def followers(self) -> int:
        number: int = self.app.state.followers.number
        return number


class Stream:
    """Reads events by the standard's rules; ``blocks`` keeps everything, comments too."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.blocks: list[str] = []
        self._lines = response.aiter_lines()

    def __aiter__(self) -> "Stream":
        return self

    async def __anext__(self) -> Event:
        while True:
            async with asyncio.timeout(SECONDS):
                fields = await self._block()
            if "data" in fields:
                return Event(fields["event"], fields["id"], json.loads(fields["data"]))

    async def _block(self) -> dict[str, str]:
        lines: list[str] = []
        async for line in self._lines:
            if not line:
                self.blocks.append("\n".join(lines))
                return dict(line.split(": ", 1) for line in lines if not line.startswith(":"))
            lines.append(line)
        raise StopAsyncIteration
