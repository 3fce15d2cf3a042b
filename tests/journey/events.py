"""Orders that are followed: the asynchronous order, and its server-sent events as a browser reads them."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from journey.answers import Json, data
from journey.phone import Phone
from journey.pictures import GENERATE

GENERATION_KEYS = {"id", "status", "progress", "coinsUsed", "images", "error", "createdAt", "finishedAt"}
FINAL = ("succeeded", "failed", "canceled")


@dataclass(frozen=True)
class Event:
    """One event: its name, its number, and the generation it tells of."""

    name: str
    id: str
    generation: Json


async def ordered(phone: Phone, prompt: str = "a lighthouse at dusk", **settings: object) -> str:
    """Order pictures without waiting for them; return where they can be followed."""
    answer = await ordered_as(phone, {"prompt": prompt, **settings})
    accepted = generation_in(answer, 202)
    assert answer.headers["preference-applied"] == "respond-async"
    location = answer.headers["location"]
    assert location == f"/api/image/generations/{accepted['id']}"
    return location


async def ordered_as(phone: Phone, body: Json, *, key: str | None = None) -> httpx.Response:
    """The answer to an asynchronous order."""
    headers = {"Prefer": "respond-async"} | ({} if key is None else {"Idempotency-Key": key})
    return await phone.send("POST", GENERATE, json=body, headers=headers)


def generation_in(answer: httpx.Response, status: int = 200) -> Json:
    """The generation that an answer shows."""
    content = data(answer, status)
    assert content.keys() == {"generation"}
    generation: Json = content["generation"]
    assert generation.keys() == GENERATION_KEYS
    assert 0 <= generation["progress"] <= 100
    assert (generation["finishedAt"] is not None) == (generation["status"] in FINAL)
    return generation


async def ended(phone: Phone, location: str) -> Json:
    """The generation at its end, waited for by long polls."""
    for _ in range(4):
        generation = generation_in(await phone.get(location, wait=15))
        if generation["status"] in FINAL:
            return generation
    raise AssertionError(f"not ended after a minute: {generation}")


@asynccontextmanager
async def followed(
    phone: Phone, location: str, last_event_id: str | None = None
) -> AsyncIterator[AsyncIterator[Event]]:
    """Follow a generation; yields its events as they come."""
    headers = {"Authorization": f"Bearer {phone.account.token}"}
    if last_event_id is not None:
        headers["Last-Event-ID"] = last_event_id
    async with phone.http.stream("GET", f"{location}/events", headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["cache-control"] == "no-store"
        yield _events(response)


async def _events(response: httpx.Response) -> AsyncIterator[Event]:
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
            continue
        if "data" in fields:
            yield Event(fields["event"], fields["id"], json.loads(fields["data"]))
        fields = {}
