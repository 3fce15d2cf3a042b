"""The database goes away in the middle of an order: that is no failure of the order, and no picture is lost."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr

from common.mongo import Database
from common.testing import app_client, user_headers
from image_service.following import Following
from image_service.main import create_app
from image_service.settings import Settings
from image_service.testing import World, until

FOX = {"prompt": "a red fox in the snow", "responseFormat": "url"}
KEY = {"Idempotency-Key": "k"}


class Road:
    """The way to MongoDB, which can be closed."""

    def __init__(self, uri: str) -> None:
        address = urlsplit(uri)
        self._host, self._port, self._rest = address.hostname, address.port, f"{address.path}?{address.query}"
        self._writers: set[asyncio.StreamWriter] = set()
        self._is_open = True
        self.uri = ""

    async def open(self) -> asyncio.Server:
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.uri = f"mongodb://127.0.0.1:{server.sockets[0].getsockname()[1]}{self._rest}"
        return server

    def close(self) -> None:
        self._is_open = False
        for writer in self._writers:
            writer.transport.abort()

    def reopen(self) -> None:
        self._is_open = True

    def close_for(self, seconds: float) -> None:
        self.close()
        asyncio.get_running_loop().call_later(seconds, self.reopen)

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


@pytest_asyncio.fixture
async def road(mongo_uri: str) -> AsyncIterator[Road]:
    road = Road(mongo_uri)
    server = await road.open()
    yield road
    server.close()
    road.close()


@asynccontextmanager
async def started(
    settings: Callable[..., Settings], world: World, road: Road, user_id: str
) -> AsyncIterator[httpx.AsyncClient]:
    by_road = settings(recovery_interval_seconds=0.1).model_copy(update={"mongo_uri": SecretStr(road.uri)})
    app = create_app(by_road, transport=world)
    async with app_client(app, **user_headers(user_id)) as client:
        yield client
        road.close()  # or the driver would wait for an answer to its monitor, which comes every ten seconds
        road.reopen()


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
            road.close_for(1.5)

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
            road.close_for(1.0)

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
        road.close()  # as above
        road.reopen()
