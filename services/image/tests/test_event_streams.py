"""Server-sent events of a generation, over real sockets: nothing repeated, nothing lost, whichever process is asked."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
import pytest_asyncio
import uvicorn

from common.mongo import Database
from common.testing import until, user_headers
from image_service.main import create_app
from image_service.settings import Settings
from image_service.testing import World
from image_service.testing.streams import SECONDS, Event, Process

USER = "0123456789abcdef01234567"

Begin = Callable[..., Awaitable[Process]]


@pytest_asyncio.fixture
async def begin(settings: Callable[..., Settings], world: World, database: Database) -> AsyncIterator[Begin]:
    """Start a process of the service."""
    async with AsyncExitStack() as stack:

        async def start(**overrides: Any) -> Process:
            app = create_app(settings(**overrides), transport=world)
            config = uvicorn.Config(
                app, http="httptools", ws="none", lifespan="on", log_config=None, timeout_graceful_shutdown=5
            )
            server = uvicorn.Server(config)
            listening = socket.create_server(("127.0.0.1", 0))
            serving = asyncio.create_task(server.serve(sockets=[listening]))

            async def stop() -> None:
                server.should_exit = True
                await serving

            stack.push_async_callback(stop)
            await until(lambda: server.started or serving.done())
            base_url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            client = httpx.AsyncClient(base_url=base_url, headers=user_headers(USER), timeout=SECONDS, trust_env=False)
            return Process(app, server, await stack.enter_async_context(client))

        yield start


def assert_in_order(events: list[Event]) -> None:
    ids = [int(event.id) for event in events]
    assert ids == sorted(set(ids)), "an event was repeated"
    progress = [event.data["progress"] for event in events]
    assert progress == sorted(progress), "progress went back"
    assert all(event.name == "progress" for event in events[:-1])


async def test_events_come_as_they_happen_to_the_last(begin: Begin, world: World) -> None:
    process = await begin()
    world.engine.open.clear()
    location = await process.order()
    await until(lambda: world.engine.orders)
    async with process.events(location) as stream:
        assert stream.response.status_code == 200
        assert stream.response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert stream.response.headers["cache-control"] == "no-store"
        assert stream.response.headers["x-accel-buffering"] == "no"
        first = await anext(stream)
        assert (first.name, first.data["status"]) == ("progress", "running")
        assert stream.blocks[0] == "retry: 1000"
        world.engine.open.set()
        events = [first, *[event async for event in stream]]
    assert_in_order(events)
    last = events[-1]
    assert (last.name, last.standing) == ("succeeded", ("succeeded", 100))
    shown = (await process.client.get(location)).json()["data"]["generation"]
    assert last.data == shown
    assert shown["images"][0]["imageData"] is None


async def test_a_client_that_comes_back_misses_and_repeats_nothing(begin: Begin, world: World) -> None:
    process = await begin()
    location = await process.order(samples=2)
    told = await process.rest(location)
    whole = {event.id: event for event in told}
    assert told[-1].name == "succeeded"
    last = int(told[-1].id)
    for seen in range(last):
        events = await process.rest(location, str(seen))
        assert [event.id for event in events] == [str(last)], "what was passed over is in the last event"
        assert events[-1] == whole[events[-1].id]
    for final in (str(last),):
        answer = await process.client.get(f"{location}/events", headers={"Last-Event-ID": final})
        assert (answer.status_code, answer.content) == (204, b"")
    for odd in ("", "x", "-1", "1.5", "99999", "9" * 400, "²"):
        events = await process.rest(location, odd) if odd.isascii() else []
        assert [event.name for event in events] == (["succeeded"] if odd.isascii() else [])


async def test_a_stream_that_is_resumed_goes_on_where_it_broke(begin: Begin, world: World) -> None:
    process = await begin()
    world.engine.open.clear()
    location = await process.order()
    await until(lambda: world.engine.orders)
    async with process.events(location) as stream:
        first = await anext(stream)
    async with process.events(location, first.id) as stream:
        world.engine.open.set()
        rest = [event async for event in stream]
    assert_in_order([first, *rest])
    assert rest[-1].name == "succeeded"


async def test_another_process_tells_of_what_this_one_draws(begin: Begin, world: World) -> None:
    drawing, told = await begin(), await begin()
    world.engine.open.clear()
    location = await drawing.order()
    async with told.events(location) as stream, told.events(location) as second:
        await anext(stream)
        world.engine.open.set()
        events = [event async for event in stream]
        assert [event async for event in second][-1] == events[-1]
    assert_in_order(events)
    assert events[-1].name == "succeeded"


async def test_a_failure_is_the_last_event(begin: Begin, world: World) -> None:
    process = await begin()
    world.engine.reasons = ["CONTENT_FILTERED"]
    location = await process.order()
    events = await process.rest(location)
    assert_in_order(events)
    last = events[-1]
    assert (last.name, last.data["status"], last.data["error"]["code"]) == ("failed", "failed", "content_rejected")
    # That the coins have been given back since is no event of its own.
    answer = await process.client.get(f"{location}/events", headers={"Last-Event-ID": last.id})
    assert answer.status_code == 204


async def test_a_canceled_one_ends_with_a_failure_that_says_so(begin: Begin, world: World) -> None:
    process = await begin(max_concurrent_generations=1)
    world.engine.open.clear()
    await process.order(prompt="a fox being drawn")
    await until(lambda: world.engine.orders)
    location = await process.order(prompt="a fox in the line")
    async with process.events(location) as stream:
        assert (await anext(stream)).data["status"] == "queued"
        await process.client.delete(location)
        events = [event async for event in stream]
    assert [event.name for event in events] == ["failed"]
    assert events[0].data["status"] == "canceled"
    world.engine.open.set()


async def test_a_client_that_leaves_frees_its_place_at_once(begin: Begin, world: World) -> None:
    process = await begin(max_followers_per_user=2)
    world.engine.open.clear()
    location = await process.order()
    async with process.events(location) as stream, process.events(location) as other:
        await anext(stream)
        await anext(other)
        assert process.followers == 2
        refused = await process.client.get(f"{location}/events")
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_followers")
        assert int(refused.headers["retry-after"]) >= 1
    await until(lambda: process.followers == 0, seconds=1.0)

    waiting = asyncio.create_task(process.client.get(location, params={"wait": 60}))
    await until(lambda: process.followers == 1)
    waiting.cancel()
    await until(lambda: process.followers == 0, seconds=1.0)
    world.engine.open.set()


async def test_a_full_process_says_so(begin: Begin, world: World) -> None:
    process = await begin(max_followers=1)
    world.engine.open.clear()
    location = await process.order()
    async with process.events(location) as stream:
        await anext(stream)
        refused = await process.client.get(f"{location}/events")
        assert (refused.status_code, refused.json()["code"]) == (503, "service_unavailable")
        assert int(refused.headers["retry-after"]) >= 1
    world.engine.open.set()


async def test_a_stream_ends_in_time_and_its_client_comes_back(begin: Begin, world: World) -> None:
    process = await begin(event_stream_seconds=0.5)
    world.engine.open.clear()
    location = await process.order()
    await until(lambda: world.engine.orders)
    events = await process.rest(location)
    assert [event.name for event in events] == ["progress"] * len(events) != []
    last = events[-1].id
    assert await process.rest(location, last) == []
    world.engine.open.set()
    while True:
        more = await process.rest(location, last)
        events += more
        last = events[-1].id
        if events[-1].name != "progress":
            break
    assert_in_order(events)
    assert events[-1].name == "succeeded"


async def test_a_quiet_stream_shows_that_it_is_alive(begin: Begin, world: World) -> None:
    process = await begin()
    following = process.app.state.following
    process.app.state.following = type(following)(
        process.app.state.image_service, process.app.state.gallery, stream_seconds=1.0, keep_alive_seconds=0.2
    )
    world.engine.open.clear()
    location = await process.order()
    await until(lambda: world.engine.orders)
    async with process.events(location) as stream:
        assert [event.data["status"] async for event in stream][-1] == "running"
    assert sum(block.startswith(":") for block in stream.blocks) >= 2
    world.engine.open.set()


async def test_a_process_that_is_to_stop_keeps_nobody_waiting(begin: Begin, world: World) -> None:
    process, other = await begin(), await begin()
    world.engine.open.clear()
    location = await other.order()
    async with process.events(location) as stream:
        first = await anext(stream)
        waiting = asyncio.create_task(process.client.get(location, params={"wait": 60}))
        await until(lambda: process.followers == 2)
        process.app.state.image_service.stop()  # as the signal does
        rest = [event async for event in stream]
        assert all(event.name == "progress" for event in rest)
        assert (await waiting).json()["data"]["generation"]["status"] in ("queued", "running")
    world.engine.open.set()
    events = await other.rest(location, (rest or [first])[-1].id)
    assert_in_order([first, *rest, *events])
    assert events[-1].name == "succeeded"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD"])
async def test_events_can_only_be_read(begin: Begin, method: str) -> None:
    process = await begin()
    answer = await process.client.request(method, f"/api/image/generations/{'0' * 24}/events")
    assert answer.status_code == 405
