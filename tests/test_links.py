"""The links do to messages what they are told to; a test that kills by them proves nothing without that."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import AutoReconnect, PyMongoError

from common.testing.mongod import free_port
from journey.polling import until
from links.http import http
from links.link import Link
from links.messages import Cut, Fault, Late, Message, Open, Slow
from links.mongo import mongo


@dataclass
class Server:
    """Counts what it is asked; answers in one piece or in chunks."""

    asked: list[bytes] = field(default_factory=list)
    port: int = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if b"content-length: 4" in head.lower():
                    head += await reader.readexactly(4)
                self.asked.append(head)
                body = b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
                writer.write(b"HTTP/1.1 200 OK\r\n" + (body if b"/chunks" in head else b"Content-Length: 3\r\n\r\nabc"))
        except asyncio.IncompleteReadError:
            writer.close()


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    server = Server()
    listener = await asyncio.start_server(server.answer, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    async with listener:
        yield server


@dataclass
class Doing(Open):
    """Does one thing to the first request or answer."""

    request: Fault | None = None
    answer: Cut | Slow | None = None

    async def on_request(self, message: Message) -> Fault | None:
        fault, self.request = self.request, None
        return fault

    async def on_answer(self, message: Message) -> Cut | Slow | None:
        fault, self.answer = self.answer, None
        return fault


FAULTS = {
    "open": (None, None, 1, True),
    "slow request": (Slow(0.05), None, 1, True),
    "slow answer": (None, Slow(0.05), 1, True),
    "cut request": (Cut(), None, 0, False),
    "late request": (Late(0.05), None, 1, False),
    "lost answer": (None, Cut(), 1, False),
}
"""What is done to a request, and to its answer; how often it arrives, and whether its sender hears of it."""


@pytest.mark.parametrize("path", ["/", "/chunks"])
@pytest.mark.parametrize(("request_", "answer", "arrives", "is_answered"), FAULTS.values(), ids=FAULTS)
async def test_http(
    request_: Fault | None, answer: Cut | Slow | None, arrives: int, is_answered: bool, path: str
) -> None:
    async with (
        serving() as server,
        Link("a", http, [server.port], tap=Doing(request_, answer)).listening() as link,
        httpx.AsyncClient(base_url=link.url, trust_env=False) as client,
    ):
        if is_answered:
            assert (await client.post(path, content=b"body")).content == b"abc"
        else:
            with pytest.raises(httpx.TransportError):
                await client.post(path, content=b"body")

        async def arrived() -> bool:
            return len(server.asked) == arrives

        await until(arrived, f"{arrives} arrived")
        assert (await client.post(path, content=b"body")).content == b"abc"
        assert len(server.asked) == arrives + 1


async def test_targets_take_turns_and_a_dead_one_is_passed_over() -> None:
    async with serving() as first, serving() as second:
        targets = [first.port, free_port(), second.port]
        async with Link("a", http, targets).listening() as link:
            for _ in range(6):
                async with httpx.AsyncClient(base_url=link.url, trust_env=False) as client:
                    assert (await client.post("/", content=b"body")).content == b"abc"
        assert (len(first.asked), len(second.asked)) == (2, 4)


async def test_a_closed_link_lets_nobody_in() -> None:
    async with (
        serving() as server,
        Link("a", http, [server.port]).listening() as link,
        httpx.AsyncClient(base_url=link.url, trust_env=False) as client,
    ):
        link.is_open = False
        with pytest.raises(httpx.TransportError):
            await client.post("/")
        link.is_open = True
        assert (await client.post("/", content=b"body")).status_code == 200


class Watching(Doing):
    """Notes what passes."""

    def __init__(self, **faults: Any) -> None:
        super().__init__(**faults)
        self.names: list[str] = []

    async def on_request(self, message: Message) -> Fault | None:
        self.names.append(message.name)
        return await super().on_request(message)


async def test_mongodb(mongo_uri: str, database_name: str) -> None:
    tap = Watching()
    port = int(mongo_uri.partition("://")[2].partition("/")[0].partition(":")[2])
    async with (
        Link("a", mongo, [port], tap=tap).listening() as link,
        AsyncMongoClient[dict[str, Any]](
            f"mongodb://127.0.0.1:{link.port}/?directConnection=true&retryWrites=false"
        ) as client,
    ):
        generations = client[database_name]["generations"]
        await generations.insert_one({"_id": 1, "state": "accepted"})
        await generations.update_one({"_id": 1, "state": "accepted"}, {"$set": {"state": "drawing"}})
        await generations.update_one({"_id": 1}, [{"$set": {"lease": {"until": "$$NOW"}}}])
        written = {"$mergeObjects": [{"$literal": {"state": "stored"}}, {"lease": 1}]}
        await generations.find_one_and_update({"state": "drawing"}, [{"$replaceWith": written}])
        await client[database_name]["images"].delete_one({"_id": 1})
        tap.answer = Cut()
        with pytest.raises(AutoReconnect):
            await generations.update_one({"_id": 1}, {"$set": {"state": "succeeded"}})
        assert await generations.find_one({}, {"_id": 0, "state": 1}) == {"state": "succeeded"}
        tap.request = Cut()
        with pytest.raises(AutoReconnect):
            await generations.delete_many({})
        assert await generations.count_documents({}) == 1

        tap.request = Late(0.05)
        with pytest.raises(PyMongoError):
            await generations.delete_many({})

        async def gone() -> bool:
            return await generations.count_documents({}) == 0

        await until(gone, "the late request has arrived")
        await client.drop_database(database_name)
    states = [f"generations: {name}" for name in ("accepted", "drawing", "stored")]
    assert tap.names == [*states, "images: delete", "generations: succeeded", *["generations: delete"] * 2]
