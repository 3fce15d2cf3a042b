"""The database goes away in the middle of an order: that is no failure of the order, and no picture is lost."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from threading import Thread
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr

from common.mongo import Database
from common.testing import app_client, until, user_headers
from image_service.following import Following
from image_service.main import create_app
from image_service.settings import Settings
from image_service.testing import World

ResultT = TypeVar("ResultT")

FOX = {"prompt": "a red fox in the snow", "responseFormat": "url"}
KEY = {"Idempotency-Key": "k"}


class Road:
    """The way to MongoDB, which can be closed; it has a thread of its own, since a driver that ends stops all else."""

    def __init__(self, uri: str) -> None:
        address = urlsplit(uri)
        self._host, self._port, self._rest = address.hostname, address.port, f"{address.path}?{address.query}"
        self._writers: set[asyncio.StreamWriter] = set()
        self._carrying: set[asyncio.Task[None]] = set()
        self._is_open = True
        self._loop = asyncio.new_event_loop()
        self.uri = ""

    @contextmanager
    def opened(self) -> Iterator[None]:
        thread = Thread(target=self._loop.run_forever)
        thread.start()
        try:
            server = self._run(asyncio.start_server(self._come, "127.0.0.1", 0))
            self.uri = f"mongodb://127.0.0.1:{server.sockets[0].getsockname()[1]}{self._rest}"
            yield
            self._loop.call_soon_threadsafe(server.close)
            self._run(self._end())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()

    def close(self) -> None:
        self._is_open = False
        self._run(self._abort())

    def reopen(self) -> None:
        self._is_open = True

    def close_for(self, seconds: float) -> None:
        self.close()
        asyncio.get_running_loop().call_later(seconds, self.reopen)

    def _run(self, action: Coroutine[Any, Any, ResultT]) -> ResultT:
        return asyncio.run_coroutine_threadsafe(action, self._loop).result(10)

    async def _abort(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _end(self) -> None:
        await self._abort()
        await asyncio.gather(*self._carrying)

    async def _come(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)
        await self._carry(reader, writer)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._is_open:
            writer.transport.abort()
            return
        there, away = await asyncio.open_connection(self._host, self._port)
        self._writers |= {writer, away}
        await asyncio.gather(self._pipe(reader, away), self._pipe(there, writer))
        self._writers -= {writer, away}

    @staticmethod
    async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.transport.abort()


class WatchedWorld(World):
    """Calls ``before`` or ``after`` for each request, with its host and path."""

    def __init__(self) -> None:
        super().__init__()
        self.before: Callable[[str], None] = lambda _: None
        self.after: Callable[[str], None] = lambda _: None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.before(request.url.path)
        response = await super().handle_async_request(request)
        self.after(request.url.path)
        return response


@pytest_asyncio.fixture
async def world() -> WatchedWorld:
    return WatchedWorld()


@pytest.fixture
def road(mongo_uri: str) -> Iterator[Road]:
    road = Road(mongo_uri)
    with road.opened():
        yield road


@asynccontextmanager
async def started(
    settings: Callable[..., Settings], world: World, road: Road, user_id: str
) -> AsyncIterator[httpx.AsyncClient]:
    by_road = settings(recovery_interval_seconds=0.1).model_copy(update={"mongo_uri": SecretStr(road.uri)})
    app = create_app(by_road, transport=world)
    async with app_client(app, **user_headers(user_id)) as client:
        yield client


@pytest.mark.parametrize("moment", ["holds", "text-to-image", "captures"])
@pytest.mark.parametrize("is_after", [False, True])
async def test_an_order_outlives_an_outage(
    settings: Callable[..., Settings],
    world: WatchedWorld,
    road: Road,
    database: Database,
    user_id: str,
    moment: str,
    is_after: bool,
) -> None:
    closed: list[str] = []

    def close_once(path: str) -> None:
        if path.endswith(moment) and not closed:
            closed.append(path)
            road.close_for(0.5)

    if is_after:
        world.after = close_once
    else:
        world.before = close_once
    async with started(settings, world, road, user_id) as client:
        response = await client.post("/api/image/generate", json=FOX, headers=KEY)
        if response.status_code == 503:  # only the answer could not be read
            response = await client.post("/api/image/generate", json=FOX, headers=KEY)
        assert response.status_code == 200, response.text
        assert closed
    assert (len(world.engine.orders), world.coin.balance, world.coin.held) == (1, 90, 0)
    assert await database["generations"].count_documents({"state": "succeeded"}) == 1


async def test_an_order_that_cannot_be_written_down_is_not_drawn_later(
    settings: Callable[..., Settings], world: WatchedWorld, road: Road, database: Database, user_id: str
) -> None:
    async with started(settings, world, road, user_id) as client:
        road.close()
        response = await client.post("/api/image/generate", json=FOX)
        assert (response.status_code, response.json()["code"]) == (503, "service_unavailable")
        road.reopen()
        assert (await client.post("/api/image/generate", json=FOX, headers=KEY)).status_code == 200
    assert (len(world.engine.orders), world.coin.balance, world.coin.held) == (1, 90, 0)
    assert await database["generations"].count_documents({"open": True}) == 0


async def test_what_is_given_back_is_given_back_through_an_outage(
    settings: Callable[..., Settings], world: WatchedWorld, road: Road, database: Database, user_id: str
) -> None:
    def refuse(path: str) -> None:
        if path.endswith("text-to-image"):
            road.close_for(0.5)

    world.before = refuse
    world.engine.answers = [httpx.Response(400, json={"id": "1", "name": "invalid_prompts"})]
    async with started(settings, world, road, user_id) as client:
        response = await client.post("/api/image/generate", json=FOX, headers=KEY)
        assert (response.status_code, response.json()["code"]) == (403, "content_rejected")
        await until(lambda: world.coin.held == 0)
    assert (world.coin.balance, world.coin.captured) == (100, {})


async def test_a_stream_of_events_outlives_an_outage(
    settings: Callable[..., Settings], world: WatchedWorld, road: Road, database: Database, user_id: str
) -> None:
    app = create_app(settings().model_copy(update={"mongo_uri": SecretStr(road.uri)}), transport=world)
    async with app_client(app, **user_headers(user_id)) as client:
        app.state.following = Following(
            app.state.image_service, app.state.gallery, stream_seconds=60.0, keep_alive_seconds=0.2
        )
        world.engine.open.clear()
        order = await client.post("/api/image/generate", json=FOX, headers={"Prefer": "respond-async"})
        await until(lambda: world.engine.orders)
        stream = asyncio.create_task(client.get(f"{order.headers['location']}/events"))
        await until(lambda: app.state.followers.number)
        road.close_for(5.0)  # longer than the driver itself looks for a server
        asyncio.get_running_loop().call_later(6.0, world.engine.open.set)
        told = await asyncio.wait_for(stream, 40)
        assert (told.status_code, told.text.count("event: succeeded")) == (200, 1)
        assert ": ping" in told.text
