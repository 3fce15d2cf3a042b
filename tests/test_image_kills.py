"""The image service is killed before and after every message that an order makes it send; it ends as it must.

Nothing in the service knows of this: the links between it and everybody else are watched, and the process is killed
when the message comes by. Another process, the mesh's own, ends the order; the phone asks again under the same key.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from pymongo import MongoClient

from common.testing.mongod import free_port
from journey.answers import Json, data, error, page
from journey.asking import asked_until_known
from journey.assassin import Assassin, Step, watched
from journey.mesh import Mesh
from journey.phone import NewPhone, Phone, fresh_purchase
from journey.pictures import GENERATE, HISTORY, PRICE, opened
from journey.polling import until
from journey.sandbox import Sandbox
from journey.victims import Victim
from local_mesh.inside import find_environment

pytestmark = pytest.mark.processes

AT_ONCE = 6
ENGINE_CALLS = 3
"""At most for one order, whatever happens; one that has spent them fails, and the same key makes another."""

ENDED_SECONDS = 60.0
"""Two seconds on a quiet machine: the lease, and a look for leases that have run out."""

TRIES = 6
"""At one place: on a busy machine a process may be taken for dead before it comes there."""

HURRIED = {"LEASE_SECONDS": "1.5", "RECOVERY_INTERVAL_SECONDS": "0.5", "LOG_LEVEL": "WARNING"}


@dataclass(frozen=True)
class Kind:
    """A kind of order, how it ends, and the steps it must have: a kill that never comes proves nothing."""

    name: str
    words: str = ""
    samples: int = 1
    pictures: int = 1
    is_covered: bool = False
    refusal: str | None = None
    steps: tuple[str, ...] = ()

    @property
    def coins(self) -> int:
        return 0 if self.is_covered else PRICE * self.pictures


ENGINE = "engine POST /v1/generation/stable-diffusion-xl-1024-v1-0/text-to-image"
HOLD, CAPTURE, VOID = (f"coin POST /internal/{name}" for name in ("holds", "captures", "voids"))
STATES = {
    name: f"database generations: {name}"
    for name in ("accepted", "drawing", "stored", "succeeded", "voiding", "failed")
}
GOOD = (STATES["accepted"], STATES["drawing"], ENGINE, STATES["stored"], STATES["succeeded"], "database images: insert")

KINDS = (
    Kind("paid with coins", steps=(*GOOD, HOLD, CAPTURE)),
    Kind("covered by a subscription", is_covered=True, steps=(*GOOD, "database quotas")),
    Kind("partly withheld", "[sandbox:filtered-1]", samples=2, steps=(*GOOD, HOLD, CAPTURE)),
    Kind(
        "refused by the engine",
        "[sandbox:moderated]",
        pictures=0,
        refusal="content_rejected",
        steps=(STATES["accepted"], HOLD, STATES["drawing"], ENGINE, STATES["voiding"], VOID, STATES["failed"]),
    ),
)


@dataclass
class Case:
    """One order of one user, and a process of the image service that may not outlive it."""

    phone: Phone
    kind: Kind
    mark: str
    key: str
    assassin: Assassin

    @property
    def body(self) -> Json:
        prompt = f"a fox {self.mark} {self.kind.words}"
        small = {"width": 640, "height": 1536}
        return {"prompt": prompt, "samples": self.kind.samples, "responseFormat": "url", **small}

    async def order_from(self, victim: Victim) -> None:
        """Order from the process itself, which may die over it."""
        headers = {"Authorization": f"Bearer {self.phone.account.token}", "Idempotency-Key": self.key}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{victim.port}", trust_env=False, timeout=60) as http:
            with contextlib.suppress(httpx.TransportError):
                await http.post(GENERATE, json=self.body, headers=headers)


@pytest.fixture
def image_environment(mesh: Mesh) -> dict[str, str]:
    """What the mesh's own process of the image service finds in its environment, with shorter times."""
    if "mongod" not in mesh.names:
        pytest.skip("MONGO_URI is set: the way to that database may not be a plain one")
    assert mesh.root is not None
    return find_environment(mesh.root, "image", port_base=None) | HURRIED


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name.replace(" ", "-"))
async def test_an_order_ends_as_it_must_wherever_image_is_killed(
    new_phone: NewPhone, sandbox: Sandbox, image_environment: dict[str, str], tmp_path: Path, kind: Kind
) -> None:
    uploads = Path(image_environment["UPLOADS_DIR"])
    files_before = set(os.listdir(uploads))
    turns = asyncio.Semaphore(AT_ONCE)

    cases = []

    async def one(step: Step | None, is_after: bool = False) -> Case:
        async with turns:
            for _ in range(TRIES):
                phone = await new_phone()
                if kind.is_covered:
                    await subscribe(phone)
                mark, key = uuid4().hex, uuid4().hex
                assassin = Assassin({phone.account.id.encode(), mark.encode()}, step, is_after)
                cases.append(case := Case(phone, kind, mark, key, assassin))
                await order_from_victim(case, image_environment, tmp_path)
                await check(case, sandbox, image_environment)
                if assassin.has_struck or step is None:
                    return case
        raise AssertionError(f"{place_of(case)}: never came")

    steps = (await one(None)).assassin.steps
    for name in kind.steps:
        assert any(str(step).startswith(name) for step in steps), (name, [str(step) for step in steps])
    places = [(step, is_after) for step in steps for is_after in (False, True)]
    await asyncio.gather(*(one(*place) for place in places))

    print(f"{len(places)} kills: {', '.join(str(step) for step in steps)}")  # noqa: T201 - where it was killed
    named = {name for case in cases for name in await files_of(case.phone)}

    def files() -> set[str]:
        # A draft half-written is nobody's file yet; the storage clears such away by their age.
        there = {file for file in os.listdir(uploads) if not file.endswith(".draft")}
        return there - files_before

    async def nothing_else_is_there() -> bool:
        return files() == named

    with contextlib.suppress(AssertionError):  # the last line says which
        await until(nothing_else_is_there, "no file is there but those of pictures", seconds=ENDED_SECONDS)
    assert files() == named


async def order_from_victim(case: Case, environment: dict[str, str], folder: Path) -> None:
    """Order from a process that is killed at the place in question."""
    assassin = case.assassin
    async with watched(environment, assassin) as changed:
        victim = Victim(changed, free_port(), folder / f"{case.mark}.log")
        assassin.kill = victim.kill
        try:
            await asyncio.to_thread(victim.wait_until_it_listens)
            await case.order_from(victim)
        finally:
            await asyncio.to_thread(victim.kill)


async def check(case: Case, sandbox: Sandbox, environment: dict[str, str]) -> None:
    """Ask again under the same key: one outcome, told truly, paid for once, and nothing left over."""
    where = place_of(case)
    answer, _ = await asked_until_known(lambda: case.phone.post(GENERATE, case.body, key=case.key))
    if case.kind.refusal:
        error(answer, 403, case.kind.refusal)
        told = []
    else:
        content = data(answer)
        assert content["coinsUsed"] == case.kind.coins, where
        told = [image["id"] for image in content["images"]]
        assert len(told) == case.kind.pictures, where
        again = await case.phone.post(GENERATE, case.body, key=case.key)
        assert [image["id"] for image in data(again)["images"]] == told, where

    async def nothing_is_open() -> bool:
        return await asyncio.to_thread(has_ended, case.phone.account.id, environment)

    await until(nothing_is_open, f"the order has ended ({where})", seconds=ENDED_SECONDS)
    assert await case.phone.wallet() == (100 - case.kind.coins, 0), where
    spent = [entry["amount"] for entry in await case.phone.transactions() if entry["type"] != "bonus"]
    assert spent == ([-case.kind.coins] if case.kind.coins else []), where
    listed, _ = page(await case.phone.get(HISTORY, limit=100), "images")
    assert sorted(image["id"] for image in listed) == sorted(told), where
    for image in listed:
        assert opened((await case.phone.get(image["imageUrl"])).content).size == (640, 1536)
    calls = await sandbox.calls("stability", containing=case.mark)
    attempts = await asyncio.to_thread(attempts_of, case.phone.account.id, environment)
    assert 1 <= len(calls) <= sum(attempts), f"each call is counted before it is made ({where}): {attempts}"
    assert max(attempts) <= ENGINE_CALLS, where
    if case.kind.is_covered:
        assert await asyncio.to_thread(covered_pictures, case.phone.account.id, environment) == len(told), where


def place_of(case: Case) -> str:
    assassin = case.assassin
    return f"{'after' if assassin.is_after else 'before'} {assassin.target}" if assassin.target else "undisturbed"


def in_database(environment: dict[str, str], look: Callable[[Any], Any]) -> Any:
    with MongoClient[Json](environment["MONGO_URI"]) as client:
        return look(client["pixelmint_image"])


def has_ended(user_id: str, environment: dict[str, str]) -> bool:
    generations = in_database(environment, lambda image: list(image.generations.find({"user_id": user_id})))
    return not any(generation["open"] for generation in generations)


def attempts_of(user_id: str, environment: dict[str, str]) -> list[int]:
    """How often the engine was asked for each of the user's orders, as they say themselves."""
    generations = in_database(environment, lambda image: list(image.generations.find({"user_id": user_id})))
    return [generation["attempts"] for generation in generations]


def covered_pictures(user_id: str, environment: dict[str, str]) -> int:
    """How many pictures count against the day's cover; over midnight there are two days."""
    days = in_database(environment, lambda image: list(image.quotas.find({"_id": {"$regex": f"^{user_id}:"}})))
    return sum(day["used"] for day in days)


async def subscribe(phone: Phone) -> None:
    purchase = {"purchaseToken": fresh_purchase(), "productId": "pro_monthly", "packageName": "com.example.app"}
    assert data(await phone.post("/api/subscription/verify", purchase))["subscription"]["isActive"]


async def files_of(phone: Phone) -> set[str]:
    """Names of the files that the user's pictures consist of."""
    listed, _ = page(await phone.get(HISTORY, limit=100), "images")
    urls = [image[name] for image in listed for name in ("imageUrl", "thumbnailUrl") if image[name]]
    return {url.rpartition("/")[2] for url in urls}
