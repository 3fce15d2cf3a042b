"""Pictures that nobody waits for: ordered, followed, called off."""

import asyncio
import ssl
import time
from contextlib import AsyncExitStack
from uuid import uuid4

import httpx

from journey.answers import data, error
from journey.events import Event, ended, followed, generation_in, ordered, ordered_as
from journey.mesh import Mesh
from journey.phone import Caller, NewPhone, Phone
from journey.pictures import GENERATE, has_nothing_spent, opened
from journey.polling import until
from journey.sandbox import Sandbox

SLOW_MILLISECONDS = 2000


def assert_told_once(events: list[Event]) -> None:
    """Every event in its order, none twice, progress never back, and only the last one is the end."""
    numbers = [int(event.id) for event in events]
    assert numbers == sorted(set(numbers))
    progress = [event.generation["progress"] for event in events]
    assert progress == sorted(progress)
    assert {event.name for event in events[:-1]} <= {"progress"}


async def test_an_order_is_followed_to_its_pictures(phone: Phone, guest: Caller) -> None:
    location = await ordered(phone, samples=2)

    succeeded = await ended(phone, location)

    assert (succeeded["status"], succeeded["progress"], succeeded["coinsUsed"]) == ("succeeded", 100, 20)
    assert len(succeeded["images"]) == 2
    for image in succeeded["images"]:
        assert image["imageData"] is None
        opened((await guest.get(image["imageUrl"])).content)
    assert await phone.balance() == 80
    [entry, _] = await phone.transactions()
    assert (entry["amount"], entry["reference"]) == (-20, succeeded["id"])


async def test_the_coins_are_set_aside_at_once(phone: Phone, sandbox: Sandbox) -> None:
    await sandbox.fault("stability", delayMs=SLOW_MILLISECONDS)

    began = time.monotonic()
    location = await ordered(phone)
    assert time.monotonic() - began < SLOW_MILLISECONDS / 1000
    assert await phone.wallet() == (90, 10)

    assert (await ended(phone, location))["status"] == "succeeded"
    assert await phone.wallet() == (90, 0)


async def test_an_order_that_cannot_be_paid_is_refused_at_once(phone: Phone) -> None:
    data(await phone.post("/api/coin/deduct", {"amount": 95}))
    body = error(await ordered_as(phone, {"prompt": "a fox"}), 402, "insufficient_coins")
    assert (body["details"]["required"], body["details"]["balance"]) == (10, 5)
    error(await ordered_as(phone, {"prompt": ""}), 422, "validation_failed")


async def test_events_from_the_order_to_the_pictures(phone: Phone, sandbox: Sandbox) -> None:
    await sandbox.fault("stability", delayMs=SLOW_MILLISECONDS)
    location = await ordered(phone)

    async with followed(phone, location) as events:
        first = await anext(events)
    assert (first.name, first.generation["status"] in ("queued", "running")) == ("progress", True)
    async with followed(phone, location, first.id) as events:
        rest = [event async for event in events]

    assert_told_once([first, *rest])
    last = rest[-1]
    assert (last.name, last.generation["status"], last.generation["progress"]) == ("succeeded", "succeeded", 100)
    assert last.generation == generation_in(await phone.get(location))
    seen = await phone.send("GET", f"{location}/events", headers={"Last-Event-ID": last.id})
    assert (seen.status_code, seen.content) == (204, b"")


async def test_a_failure_is_the_last_event_and_costs_nothing(phone: Phone, sandbox: Sandbox) -> None:
    await sandbox.fault("stability", filtered=1)
    location = await ordered(phone)

    async with followed(phone, location) as events:
        told = [event async for event in events]

    assert_told_once(told)
    last = told[-1]
    assert (last.name, last.generation["status"]) == ("failed", "failed")
    assert last.generation["error"]["code"] == "content_rejected"
    assert (last.generation["images"], last.generation["coinsUsed"]) == ([], 0)
    seen = await phone.send("GET", f"{location}/events", headers={"Last-Event-ID": last.id})
    assert seen.status_code == 204

    async def given_back() -> bool:
        return await phone.wallet() == (100, 0)

    await until(given_back, "the coins are back")
    await has_nothing_spent(phone)


async def test_what_waits_can_be_called_off_and_what_is_drawn_cannot(phone: Phone, sandbox: Sandbox) -> None:
    await sandbox.fault("stability", times=10, delayMs=SLOW_MILLISECONDS)
    locations = [await ordered(phone, f"a kite {number}") for number in range(6)]

    # One user's fair share of the engine is less than that: the last one stands in line.
    assert generation_in(await phone.get(locations[-1]))["status"] == "queued"
    canceled = generation_in(await phone.delete(locations[-1]))

    assert (canceled["status"], canceled["error"]["code"], canceled["coinsUsed"]) == ("canceled", "canceled", 0)
    assert generation_in(await phone.delete(locations[-1])) == canceled
    async with followed(phone, locations[-1]) as events:
        [told] = [event async for event in events]
    assert (told.name, told.generation["status"]) == ("failed", "canceled")
    error(await phone.delete(locations[0]), 409, "generation_started")
    for location in locations[:-1]:
        assert (await ended(phone, location))["status"] == "succeeded"
    error(await phone.delete(locations[0]), 409, "generation_finished")
    assert await phone.balance() == 50


async def test_a_long_poll_ends_with_the_picture_or_with_its_wait(phone: Phone, sandbox: Sandbox) -> None:
    await sandbox.fault("stability", delayMs=SLOW_MILLISECONDS)
    location = await ordered(phone)

    began = time.monotonic()
    waiting = generation_in(await phone.get(location, wait=1))
    assert waiting["status"] in ("queued", "running")
    assert 0.9 < time.monotonic() - began < 10
    assert generation_in(await phone.get(location, wait=30))["status"] == "succeeded"
    assert time.monotonic() - began < 20
    for wait in ("-1", "61", "soon"):
        body = error(await phone.get(location, wait=wait), 422, "validation_failed")
        assert [detail["field"] for detail in body["details"]] == ["wait"]


async def test_a_double_tap_is_one_order(phone: Phone, sandbox: Sandbox) -> None:
    await sandbox.fault("stability", delayMs=SLOW_MILLISECONDS)
    prompt = f"a red kite {uuid4().hex}"

    taps = await asyncio.gather(*(ordered_as(phone, {"prompt": prompt}) for _ in range(2)))

    assert len({generation_in(tap, 202)["id"] for tap in taps}) == 1
    assert sorted(tap.headers.get("idempotent-replayed", "") for tap in taps) == ["", "true"]
    assert (await ended(phone, taps[0].headers["location"]))["status"] == "succeeded"
    assert len(await sandbox.calls("stability", containing=prompt)) == 1
    assert await phone.balance() == 90


async def test_one_key_is_one_order_waited_for_or_not(phone: Phone) -> None:
    key, body = uuid4().hex, {"prompt": "a green kite", "responseFormat": "url"}

    first = await ordered_as(phone, body, key=key)
    again = await ordered_as(phone, body, key=key)
    waited = await phone.post(GENERATE, body, key=key)

    assert first.headers["location"] == again.headers["location"]
    assert again.headers["idempotent-replayed"] == waited.headers["idempotent-replayed"] == "true"
    assert data(waited)["generationId"] == generation_in(first, 202)["id"]
    error(await ordered_as(phone, {**body, "seed": 1}, key=key), 422, "idempotency_key_reused")
    assert await phone.balance() == 90


async def test_another_users_order_does_not_exist(new_phone: NewPhone) -> None:
    ada, bob = await new_phone(), await new_phone()
    location = await ordered(ada)
    unknown = f"/api/image/generations/{'0' * 24}"
    answers = [
        error(await bob.send(method, f"{path}{below}"), 404, "generation_not_found") | {"requestId": ""}
        for path in (location, unknown, "/api/image/generations/x")
        for method, below in (("GET", ""), ("GET", "/events"), ("DELETE", ""))
    ]
    assert all(answer == answers[0] for answer in answers)
    assert (await ended(ada, location))["status"] == "succeeded"


async def test_a_hundred_followers_leave_room_for_everybody(
    new_phone: NewPhone, sandbox: Sandbox, mesh: Mesh, tls: ssl.SSLContext
) -> None:
    await sandbox.fault("stability", times=10, delayMs=3 * SLOW_MILLISECONDS)
    phones = [await new_phone() for _ in range(5)]
    locations = [await ordered(phone, f"a kite {phone.account.id}") for phone in phones]
    limits = httpx.Limits(max_connections=None)
    async with (
        httpx.AsyncClient(base_url=mesh.gateway, verify=tls, trust_env=False, timeout=30, limits=limits) as many,
        AsyncExitStack() as stack,
    ):
        streams = [
            await stack.enter_async_context(followed(Phone(many, phone.account), location))
            for phone, location in zip(phones, locations, strict=True)
            for _ in range(20)
        ]
        assert {(await anext(events)).name for events in streams} == {"progress"}
        began = time.monotonic()
        for phone in phones:
            assert await phone.wallet() == (90, 10)
            data(await phone.get("/api/image/history"))
        assert time.monotonic() - began < 5.0
    for phone, location in zip(phones, locations, strict=True):
        assert (await ended(phone, location))["status"] == "succeeded"
