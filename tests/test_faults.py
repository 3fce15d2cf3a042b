"""Processes are killed and stopped under way: errors in bounded time, nothing lost, and well again by itself."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
import pytest_asyncio

from journey.answers import data, error, page
from journey.asking import BOUND_SECONDS, WELL_AGAIN_SECONDS, Ask, asked_until_well, well
from journey.mesh import SERVICES, Mesh
from journey.phone import Caller, Phone
from journey.pictures import GENERATE, HISTORY, draw
from journey.polling import until
from journey.sandbox import Sandbox

pytestmark = pytest.mark.processes


@pytest_asyncio.fixture(autouse=True)
async def _well_again(mesh: Mesh) -> AsyncIterator[None]:
    """Whatever a test does to the mesh, the next one finds it well."""
    yield
    await well(mesh)


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Hold a process still: it keeps its connections and answers nothing."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("name", SERVICES)
async def test_a_killed_service_comes_back(mesh: Mesh, phone: Phone, guest: Caller, name: str) -> None:
    login = {"email": phone.account.email, "password": phone.account.password}
    ask: dict[str, Ask] = {
        "auth": lambda: guest.post("/api/auth/login", login),
        "user": lambda: phone.get("/api/user/profile"),
        "coin": lambda: phone.get("/api/coin/balance"),
        "image": lambda: phone.get(HISTORY),
        "subscription": lambda: phone.get("/api/subscription/status"),
    }
    data(await ask[name]())
    pid = mesh.pid(name)

    os.kill(pid, signal.SIGKILL)
    answers = await asked_until_well(ask[name])

    data(answers[-1])
    assert mesh.pid(name) != pid


async def test_a_killed_gateway_comes_back(mesh: Mesh, phone: Phone) -> None:
    pid = mesh.pid("gateway")

    os.kill(pid, signal.SIGKILL)
    await well(mesh)

    assert await phone.balance() == 100
    assert mesh.pid("gateway") != pid


async def test_a_killed_database_comes_back_with_everything(mesh: Mesh, phone: Phone, guest: Caller) -> None:
    if "mongod" not in mesh.names:
        pytest.skip("MONGO_URI is set: the database is not ours to kill")
    data(await phone.post("/api/coin/deduct", {"amount": 5}))
    [drawn] = (await draw(phone))["images"]
    pid = mesh.pid("mongod")

    os.kill(pid, signal.SIGKILL)
    login = {"email": phone.account.email, "password": phone.account.password}
    await asyncio.gather(
        asked_until_well(lambda: phone.get("/api/coin/balance")),
        asked_until_well(lambda: phone.get("/api/user/profile")),
        asked_until_well(lambda: phone.get("/api/subscription/status")),
        asked_until_well(lambda: phone.get(HISTORY)),
        asked_until_well(lambda: guest.post("/api/auth/login", login)),
    )

    assert mesh.pid("mongod") != pid
    assert await phone.balance() == 85
    assert (await guest.get(drawn["imageUrl"])).status_code == 200


async def test_a_database_that_stands_still_is_waited_for_in_bounded_time(mesh: Mesh, phone: Phone) -> None:
    if "mongod" not in mesh.names:
        pytest.skip("MONGO_URI is set: the database is not ours to stop")
    key = uuid4().hex
    await phone.balance()
    with stopped(mesh.pid("mongod")):
        started = time.monotonic()
        answers = await asyncio.gather(
            phone.get("/api/coin/balance"),
            phone.get("/api/user/profile"),
            phone.get("/api/subscription/status"),
            phone.get(HISTORY),
            phone.post("/api/coin/deduct", {"amount": 5}, key=key),
        )
        assert time.monotonic() - started < BOUND_SECONDS
        for answer in answers:
            assert answer.status_code in (502, 503, 504), answer.text
            error(answer, answer.status_code)

    await asked_until_well(lambda: phone.post("/api/coin/deduct", {"amount": 5}, key=key))
    assert await phone.balance() == 95


async def test_a_slow_service_is_504_and_harms_no_other(mesh: Mesh, phone: Phone) -> None:
    key, body = uuid4().hex, {"prompt": "a fox", "responseFormat": "url"}
    await phone.balance()
    with stopped(mesh.pid("coin")):
        started = time.monotonic()
        slow = asyncio.gather(phone.get("/api/coin/balance"), phone.post("/api/coin/deduct", {"amount": 5}, key=key))
        drawing = asyncio.create_task(phone.post(GENERATE, body, key=key))
        data(await phone.get("/api/user/profile"))
        data(await phone.get(HISTORY))
        assert time.monotonic() - started < 5
        for answer in await slow:
            error(answer, 504)
        assert time.monotonic() - started < BOUND_SECONDS

    assert (await drawing).status_code in (200, 502, 503, 504)
    await asked_until_well(lambda: phone.post("/api/coin/deduct", {"amount": 5}, key=key))
    await settled(phone)
    pictures = page(await phone.get(HISTORY), "images")[1]["total"]
    assert await phone.balance() == 95 - 10 * pictures


async def settled(phone: Phone) -> None:
    """Wait until no coins are held: every generation has come to its end."""

    async def nothing_is_held() -> bool:
        return (await phone.wallet())[1] == 0

    await until(nothing_is_held, "no coins are held", seconds=60.0)


async def test_no_coin_is_lost_or_doubled_when_coin_dies_at_work(mesh: Mesh, phone: Phone) -> None:
    deducts = 60
    unknown = 0

    async def deduct(number: int) -> None:
        nonlocal unknown
        key, body = uuid4().hex, {"amount": 1, "reason": f"number {number}"}
        answers = await asked_until_well(lambda: phone.post("/api/coin/deduct", body, key=key))
        unknown += len(answers) - 1

    async def kill() -> None:
        for remaining in (80, 60):

            async def under_way(remaining: int = remaining) -> bool:
                answer = await phone.get("/api/coin/balance")
                return answer.status_code == 200 and data(answer)["balance"] <= remaining

            await until(under_way, "deducts are under way", seconds=WELL_AGAIN_SECONDS)
            os.kill(mesh.pid("coin"), signal.SIGKILL)

    async def worker(numbers: Iterator[int]) -> None:
        for number in numbers:
            await deduct(number)

    numbers = iter(range(deducts))
    await asyncio.gather(kill(), *(worker(numbers) for _ in range(6)))
    await well(mesh)  # the second kill may have come after the last deduct

    assert unknown > 0, "no request met a dead coin service"
    entries = await phone.transactions()
    reasons = sorted(entry["reason"] for entry in entries if entry["type"] == "deduct")
    assert reasons == sorted(f"number {number}" for number in range(deducts))
    assert await phone.balance() == 100 - deducts


async def test_every_order_ends_when_image_dies_at_work(mesh: Mesh, phone: Phone, sandbox: Sandbox) -> None:
    mark = uuid4().hex
    orders = [(uuid4().hex, {"prompt": f"fox {mark} [sandbox:slow-5000]", "responseFormat": "url"}) for _ in range(3)]
    requests = [asyncio.create_task(phone.post(GENERATE, body, key=key)) for key, body in orders]

    async def asked() -> bool:
        return len(await sandbox.calls("stability", containing=mark)) == len(orders)

    await until(asked, "the engine was asked")
    os.kill(mesh.pid("image"), signal.SIGKILL)

    for answer in await asyncio.gather(*requests):
        assert answer.status_code in (502, 503, 504), answer.text
        error(answer, answer.status_code)
    await well(mesh)
    await settled(phone)
    pictures, _ = page(await phone.get(HISTORY), "images")
    assert await phone.balance() == 100 - 10 * len(pictures)
    for picture in pictures:
        assert (await phone.get(picture["imageUrl"])).status_code == 200


@pytest.mark.parametrize("name", ["image", "coin", "gateway"])
async def test_a_process_that_is_asked_to_stop_finishes_its_work(
    mesh: Mesh, phone: Phone, sandbox: Sandbox, name: str
) -> None:
    mark = uuid4().hex
    order = {"prompt": f"fox {mark} [sandbox:slow-2000]", "responseFormat": "url"}
    request = asyncio.create_task(phone.post(GENERATE, order))

    async def asked() -> bool:
        return len(await sandbox.calls("stability", containing=mark)) == 1

    await until(asked, "the engine was asked")
    os.kill(mesh.pid(name), signal.SIGTERM)

    assert data(await request)["coinsUsed"] == 10
    await well(mesh)
    assert await phone.balance() == 90


async def test_a_killed_sandbox_is_a_vendor_that_is_away(mesh: Mesh, phone: Phone) -> None:
    os.kill(mesh.pid("sandbox"), signal.SIGKILL)

    answers = await asked_until_well(
        lambda: phone.post(GENERATE, {"prompt": "a fox", "responseFormat": "url"}, key=uuid4().hex)
    )

    assert data(answers[-1])["remainingCoins"] == 90
    assert await phone.balance() == 90
