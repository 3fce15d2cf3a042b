"""Orders that are followed instead of being waited for: asked for, looked at, waited for and called off."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest

from common.mongo import Database
from common.testing import until, user_headers
from image_service.testing import World

Start = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]
Json = dict[str, Any]

USER = "0123456789abcdef01234567"
OTHER = "76543210fedcba9876543210"
ASYNC = {"Prefer": "respond-async"}
FOX = {"prompt": "a red fox in the snow"}
KEYS = {"id", "status", "progress", "coinsUsed", "images", "error", "createdAt", "finishedAt"}
UNKNOWN = "0123456789abcdef01234567"


def failure(response: httpx.Response, status: int, code: str) -> Json:
    body: Json = response.json()
    assert (response.status_code, body["code"], body["success"]) == (status, code, False)
    return body


def generation_of(response: httpx.Response, status: int = 200) -> Json:
    assert response.status_code == status, response.text
    body = response.json()
    assert body.keys() == {"success", "data"}
    assert body["data"].keys() == {"generation"}
    generation: Json = body["data"]["generation"]
    assert generation.keys() == KEYS
    return generation


async def order(client: httpx.AsyncClient, *, key: str | None = None, **body: Any) -> httpx.Response:
    headers = ASYNC | ({"Idempotency-Key": key} if key else {})
    return await client.post("/api/image/generate", json=FOX | body, headers=headers)


async def ended(client: httpx.AsyncClient, location: str) -> Json:
    generation = generation_of(await client.get(location, params={"wait": 20}))
    assert generation["status"] in ("succeeded", "failed", "canceled"), generation
    return generation


async def test_an_order_is_accepted_drawn_and_found(client: httpx.AsyncClient, world: World) -> None:
    world.engine.open.clear()
    answer = await order(client, samples=2, seed=7)

    accepted = generation_of(answer, 202)
    location = answer.headers["location"]
    assert location == f"/api/image/generations/{accepted['id']}"
    assert answer.headers["preference-applied"] == "respond-async"
    assert answer.headers["content-type"] == "application/json"
    assert "idempotent-replayed" not in answer.headers
    assert accepted["status"] in ("queued", "running")
    assert (accepted["coinsUsed"], accepted["images"], accepted["error"]) == (0, [], None)
    assert accepted["finishedAt"] is None
    assert (world.coin.balance, world.coin.held) == (80, 20)

    await until(lambda: world.engine.orders)
    running = generation_of(await client.get(location))
    assert running["status"] == "running"
    assert accepted["progress"] <= running["progress"] < 100

    world.engine.open.set()
    succeeded = await ended(client, location)
    assert (succeeded["status"], succeeded["progress"], succeeded["coinsUsed"]) == ("succeeded", 100, 20)
    assert succeeded["error"] is None
    assert succeeded["createdAt"] == accepted["createdAt"] <= succeeded["finishedAt"]
    assert (world.coin.balance, world.coin.held) == (80, 0)

    first, second = succeeded["images"]
    assert first.keys() == {
        "id", "imageData", "imageUrl", "thumbnailUrl", "blurhash", "prompt", "seed", "createdAt",
    }  # fmt: skip
    assert [first["seed"], second["seed"]] == [7, 8]
    assert first["imageData"] is None
    history = (await client.get("/api/image/history")).json()["data"]["images"]
    assert {image["imageUrl"] for image in history} == {first["imageUrl"], second["imageUrl"]}

    await client.delete(f"/api/image/{first['id']}")
    assert generation_of(await client.get(location))["images"] == [second]


@pytest.mark.parametrize("prefer", ["return=minimal", "wait=5", "respond-async-not"])
async def test_other_preferences_change_nothing(client: httpx.AsyncClient, prefer: str) -> None:
    answer = await client.post("/api/image/generate", json=FOX, headers={"Prefer": prefer})
    assert answer.status_code == 200
    assert "preference-applied" not in answer.headers
    generation_id = answer.json()["data"]["generationId"]
    shown = generation_of(await client.get(f"/api/image/generations/{generation_id.upper()}"))
    assert (shown["id"], shown["status"], shown["progress"]) == (generation_id, "succeeded", 100)


async def test_what_is_refused_is_refused_at_once(start: Start, world: World, database: Database) -> None:
    world.coin.balance = 15
    async with start(max_generations_per_user=2) as client:
        failure(await order(client, samples=2), 402, "insufficient_coins")
        failure(await order(client, steps=1000), 422, "validation_failed")
        failure(await client.post("/api/image/generate", data=FOX, headers=ASYNC), 415,
                "unsupported_media_type")  # fmt: skip
        failure(await order(client, key="a b"), 422, "validation_failed")
        assert (world.coin.balance, world.coin.held, world.engine.orders) == (15, 0, [])

        world.coin.balance = 100
        world.engine.open.clear()
        taken = [(await order(client, prompt=f"fox {number}")).headers["location"] for number in range(2)]
        full = await order(client, prompt="fox 3")
        failure(full, 429, "too_many_generations")
        assert int(full.headers["retry-after"]) >= 1
        world.engine.open.set()
        for location in taken:
            await ended(client, location)

        world.away.add("coin")
        away = await order(client, prompt="fox 4")
        assert away.status_code == 503
    assert (world.coin.balance, world.coin.held) == (80, 0)


async def test_one_key_is_one_order_however_it_is_asked_for(client: httpx.AsyncClient, world: World) -> None:
    world.engine.open.clear()
    first = await order(client, key="k")
    again = await order(client, key="k")
    assert again.status_code == 202
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotent-replayed"] == "true"
    failure(await order(client, key="k", prompt="a cat"), 422, "idempotency_key_reused")
    world.engine.open.set()
    await ended(client, first.headers["location"])

    late = await order(client, key="k")
    assert generation_of(late, 202)["status"] == "succeeded"
    waited = await client.post("/api/image/generate", json=FOX, headers={"Idempotency-Key": "k"})
    assert waited.status_code == 200
    assert waited.headers["idempotent-replayed"] == "true"
    assert waited.json()["data"]["generationId"] == generation_of(late, 202)["id"]

    synchronous = await client.post("/api/image/generate", json=FOX, headers={"Idempotency-Key": "s"})
    followed = await order(client, key="s")
    assert followed.headers["location"].endswith(synchronous.json()["data"]["generationId"])
    assert (len(world.engine.orders), world.coin.balance) == (2, 80)


async def test_a_double_tap_without_a_key_is_one_order(client: httpx.AsyncClient, world: World) -> None:
    world.engine.open.clear()
    taps = await asyncio.gather(*(order(client) for _ in range(3)))
    assert {tap.status_code for tap in taps} == {202}
    assert len({tap.headers["location"] for tap in taps}) == 1
    assert sum("idempotent-replayed" in tap.headers for tap in taps) == 2
    world.engine.open.set()
    await ended(client, taps[0].headers["location"])
    await ended(client, (await order(client)).headers["location"])
    assert (len(world.engine.orders), world.coin.balance) == (2, 80)


async def test_what_fails_says_why_and_costs_nothing(client: httpx.AsyncClient, world: World) -> None:
    refusal = {"id": "1", "name": "invalid_prompts", "message": "prompt contains filtered words"}
    world.engine.answers = [httpx.Response(400, json=refusal)]
    answer = await order(client, key="k")
    accepted = generation_of(answer, 202)
    failed = await ended(client, answer.headers["location"])
    assert (failed["status"], failed["coinsUsed"], failed["images"]) == ("failed", 0, [])
    assert failed["error"].keys() == {"code", "message", "details"}
    assert failed["error"]["code"] == "content_rejected"
    assert "filtered words" not in str(failed)
    assert accepted["progress"] <= failed["progress"] < 100
    assert failed["finishedAt"] is not None
    await until(lambda: world.coin.held == 0)
    assert world.coin.balance == 100
    # Its key is free again.
    retried = await order(client, key="k")
    assert retried.headers["location"] != answer.headers["location"]
    assert (await ended(client, retried.headers["location"]))["status"] == "succeeded"


async def test_what_the_engine_has_not_been_asked_for_can_be_called_off(
    start: Start, world: World, database: Database
) -> None:
    world.engine.open.clear()
    async with start(max_concurrent_generations=1) as client, start() as another:
        running = (await order(client, prompt="a fox being drawn")).headers["location"]
        await until(lambda: world.engine.orders)
        waiting = (await order(client, prompt="a fox in the line")).headers["location"]
        assert generation_of(await client.get(waiting))["status"] == "queued"
        assert world.coin.held == 20

        canceled = generation_of(await another.delete(waiting))  # by whichever process

        assert (canceled["status"], canceled["coinsUsed"], canceled["images"]) == ("canceled", 0, [])
        assert canceled["error"]["code"] == "canceled"
        assert canceled["finishedAt"] is not None
        assert world.coin.held == 10
        assert generation_of(await client.delete(waiting)) == canceled
        assert generation_of(await client.get(waiting, params={"wait": 5})) == canceled
        failure(await client.delete(running), 409, "generation_started")
        world.engine.open.set()
        assert (await ended(client, running))["status"] == "succeeded"
        failure(await client.delete(running), 409, "generation_finished")
    assert (world.coin.balance, world.coin.held, len(world.engine.orders)) == (90, 0, 1)


async def test_what_has_failed_cannot_be_called_off(client: httpx.AsyncClient, world: World) -> None:
    world.engine.reasons = ["CONTENT_FILTERED"]
    location = (await order(client)).headers["location"]
    await ended(client, location)
    failure(await client.delete(location), 409, "generation_finished")


async def test_others_and_unknown_ones_are_all_the_same(client: httpx.AsyncClient) -> None:
    theirs = (await client.post("/api/image/generate", json=FOX, headers=user_headers(OTHER))).json()["data"]
    bodies = []
    for odd in (theirs["generationId"], UNKNOWN, "x", "0" * 23, "é", "..", "%24ne", "9" * 500):
        for method, path in (("GET", ""), ("GET", "/events"), ("DELETE", ""), ("GET", "?wait=1")):
            response = await client.request(method, f"/api/image/generations/{odd}{path}")
            if odd != "..":  # which the client itself resolves
                bodies.append(failure(response, 404, "generation_not_found") | {"requestId": ""})
    assert all(body == bodies[0] for body in bodies)


@pytest.mark.parametrize("wait", ["-1", "61", "1.5", "soon", "", "1e400", "NaN", "0x10"])
async def test_a_wait_that_is_none(client: httpx.AsyncClient, wait: str) -> None:
    body = failure(await client.get(f"/api/image/generations/{UNKNOWN}", params={"wait": wait}), 422,
                   "validation_failed")  # fmt: skip
    assert [detail["field"] for detail in body["details"]] == ["wait"]


async def test_a_wait_ends_with_the_generation_or_with_itself(start: Start, world: World, database: Database) -> None:
    world.engine.open.clear()
    async with start() as drawing, start() as asked:
        location = (await order(drawing)).headers["location"]
        began = time.monotonic()
        assert generation_of(await asked.get(location, params={"wait": 1}))["status"] in ("queued", "running")
        assert 0.9 < time.monotonic() - began < 5
        waiting = [asyncio.create_task(client.get(location, params={"wait": 60})) for client in (drawing, asked)]
        asyncio.get_running_loop().call_later(0.2, world.engine.open.set)
        for answer in await asyncio.wait_for(asyncio.gather(*waiting), 20):
            assert generation_of(answer)["status"] == "succeeded"
        began = time.monotonic()
        assert generation_of(await asked.get(location, params={"wait": 60}))["status"] == "succeeded"
        assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("limits", "other_user", "status", "code"),
    [
        ({"max_followers_per_user": 1}, USER, 429, "too_many_followers"),
        ({"max_followers": 1}, OTHER, 503, "service_unavailable"),
    ],
)
async def test_those_who_wait_are_bounded(
    start: Start, world: World, database: Database, limits: Json, other_user: str, status: int, code: str
) -> None:
    world.engine.open.clear()
    async with start(**limits) as client:
        asked = [USER, other_user]
        locations = [
            (await client.post("/api/image/generate", json=FOX, headers=user_headers(user) | ASYNC)).headers["location"]
            for user in asked
        ]
        waited = await asyncio.gather(
            *(
                client.get(location, params={"wait": 1}, headers=user_headers(user))
                for location, user in zip(locations, asked, strict=True)
            )
        )
        served, refused = sorted(waited, key=lambda answer: answer.status_code)
        assert generation_of(served)["status"] in ("queued", "running")
        failure(refused, status, code)
        assert int(refused.headers["retry-after"]) >= 1
        assert (await client.get(locations[0], params={"wait": 1})).status_code == 200  # there is room again
        world.engine.open.set()
