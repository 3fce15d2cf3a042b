"""The coin service is killed again and again under everything that moves coins: each answer stays true, once."""

import asyncio
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from journey.answers import Json, data
from journey.asking import well
from journey.mesh import Mesh
from journey.phone import NewPhone, fresh_payment
from journey.pictures import GENERATE, PRICE
from journey.polling import until
from journey.sandbox import Sandbox
from journey.trades import (
    BUY,
    COINS,
    Tally,
    Trade,
    User,
    buy_and_return,
    buy_both,
    buy_once,
    buy_twice_at_once,
    deduct,
    draw,
    earn,
    name_of,
    pay_and_claim,
    pay_and_leave,
)
from local_mesh.inside import find_environment

pytestmark = pytest.mark.processes

CLIENTS = 16
USERS = 8
"""Each with two clients, and every wallet is others' rival besides."""

OPERATIONS = 2000
KILLS = 20
KILLED_AGAIN = 0.2
"""How likely a coin service that has just been started is killed before it listens."""

STARTED_SECONDS = 120.0
"""On a machine that is busy with something else."""

SETTLED_SECONDS = 100.0
"""What a killed process had taken up is another's after 10 s (messages) or 60 s (consumptions, checkouts)."""

DEBT_PAYING_COINS = 100_000

# How often, and how many operations each is.
TOLD_BY_STRIPE: dict[Trade, tuple[int, int]] = {pay_and_leave: (60, 2), pay_and_claim: (20, 3), buy_and_return: (48, 5)}
OTHERS: dict[Trade, tuple[int, int]] = {
    buy_once: (120, 1),
    buy_twice_at_once: (40, 2),
    buy_both: (40, 2),
    earn: (32, 1),
    draw: (24, 1),
}
EARLY_DEDUCTS = 100


def planned(dice: random.Random) -> list[Trade]:
    """All there is to do, in an order of its own.

    What Stripe tells of is among the first quarter, so that a message whose reader was killed is due before the end.
    """
    late = [trade for trade, (times, _) in OTHERS.items() for _ in range(times)]
    early = [trade for trade, (times, _) in TOLD_BY_STRIPE.items() for _ in range(times)]
    operations = sum(times * each for times, each in [*OTHERS.values(), *TOLD_BY_STRIPE.values()])
    dice.shuffle(late)
    early += [deduct] * EARLY_DEDUCTS + late[: len(late) // 5]
    late = late[len(late) // 5 :] + [deduct] * (OPERATIONS - operations - EARLY_DEDUCTS)
    dice.shuffle(early)
    dice.shuffle(late)
    return early + late


async def client(user: User, users: list[User], todo: Iterator[Trade], dice: random.Random, sandbox: Sandbox) -> None:
    others = [other for other in users if other is not user]
    for trade in todo:
        await trade(user, dice.choice(others), sandbox)


async def kill_now_and_then(mesh: Mesh, tally: Tally, dice: random.Random) -> int:
    """Kill the coin service at random moments; return how often."""
    killed: list[int] = []

    async def kill() -> None:
        async def started() -> bool:
            return not killed or mesh.pid("coin") != killed[-1]

        await until(started, "coin was started again", seconds=STARTED_SECONDS)
        killed.append(mesh.pid("coin"))
        os.kill(killed[-1], signal.SIGKILL)

    for moment in sorted(dice.sample(range(20, OPERATIONS - 20), KILLS)):

        async def come(moment: int = moment) -> bool:
            return tally.done >= moment

        await until(come, f"{moment} operations are done", seconds=STARTED_SECONDS)
        await kill()
        while dice.random() < KILLED_AGAIN:
            await kill()
    return len(killed)


async def settled(user: User) -> None:
    """Wait until what the vendor was promised and what image had begun has come to its end."""

    async def so() -> bool:
        bought = data(await user.phone.get("/api/coin/transactions", type="buy", limit=1))["pagination"]["total"]
        taken = data(await user.phone.get("/api/coin/transactions", type="clawback", limit=100))["transactions"]
        returned = -sum(line["amount"] for line in taken)
        return (
            bought == len(user.payments)
            and returned == COINS * len(user.returned)
            and (await user.phone.wallet())[1] == 0
        )

    await until(so, "all that was promised is in the statement", seconds=SETTLED_SECONDS)


def check(user: User, lines: list[Json]) -> None:
    """Every answer is in the statement as it was given, and nothing else is, nor anything twice."""
    by_id = {line["id"]: line for line in lines}
    assert len(by_id) == len(lines)
    for told in user.lines.values():
        assert by_id[told["id"]] == told
    ids = {type_: {line["id"] for line in lines if line["type"] == type_} for type_ in ("deduct", "earn")}
    for type_, found in ids.items():
        assert found == {told["id"] for told in user.lines.values() if told["type"] == type_}
    bought = Counter(name_of(line["transactionId"]) for line in lines if line["type"] == "buy")
    assert bought == Counter(user.payments)
    drawn = Counter(line["reference"] for line in lines if line["type"] == "generate")
    assert drawn == Counter(each["generationId"] for each in user.drawn)
    assert all(line["amount"] == -PRICE for line in lines if line["type"] == "generate")
    assert [line["amount"] for line in lines if line["type"] == "bonus"] == [100]
    assert {line["type"] for line in lines} <= {"bonus", "buy", "clawback", "deduct", "earn", "generate"}
    total = 0
    for line in reversed(lines):
        total += line["amount"]
        assert line["balanceAfter"] == total >= 0


async def audit(mesh: Mesh) -> tuple[int, str]:
    """Have every wallet of the mesh added up; return the exit code and what was printed."""
    assert mesh.root is not None
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "coin_service.commands", "audit"),
        env=find_environment(mesh.root, "coin", port_base=None),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, printed.decode()


async def test_every_answer_is_true_and_every_wallet_sound(mesh: Mesh, new_phone: NewPhone, sandbox: Sandbox) -> None:
    seed = int(os.environ.get("TEST_SEED") or random.randrange(10**9))
    print(f"TEST_SEED={seed}")  # noqa: T201 - what it takes to roll the same dice again
    dice, tally = random.Random(seed), Tally()
    users = [User(await new_phone(), tally) for _ in range(USERS)]
    todo = iter(planned(dice))
    began = time.monotonic()

    async with asyncio.TaskGroup() as group:
        for number in range(CLIENTS):
            group.create_task(client(users[number % USERS], users, todo, random.Random(dice.random()), sandbox))
        killing = group.create_task(kill_now_and_then(mesh, tally, random.Random(dice.random())))
    await well(mesh)  # the last kill may have come after the last operation
    print(f"{killing.result()} kills in {time.monotonic() - began:.0f} s, {tally}")  # noqa: T201

    assert tally.done == OPERATIONS
    assert killing.result() >= KILLS
    assert tally.unknown > 0, "no request met a dead coin service"
    assert any(user.drawn for user in users)
    for user in users:
        # What is owed from now on is paid at once.
        payment = fresh_payment()
        await sandbox.put_payment(payment, amount=DEBT_PAYING_COINS)
        rescue = {"amount": DEBT_PAYING_COINS, "paymentMethod": "stripe", "transactionId": payment}
        await user.ask(BUY, rescue)
        user.payments.add(name_of(payment))
    await asyncio.gather(*(settled(user) for user in users))
    print(f"settled {time.monotonic() - began:.0f} s after the start")  # noqa: T201

    debts_paid = 0
    for user in users:
        lines = await user.phone.transactions()
        check(user, lines)
        assert (sum(line["amount"] for line in lines), 0) == await user.phone.wallet()
        debts_paid += sum(line["reason"] == "Debt of a payment returned" for line in lines)
        for told in dice.sample([told for told in user.told if told.path != GENERATE], 10):
            answer = await user.phone.post(told.path, told.body, key=told.key)
            assert data(answer) == told.answer
            assert answer.headers["idempotent-replayed"] == "true"
    assert debts_paid > 0, "no refund came after its coins were spent"
    code, printed = await audit(mesh)
    assert code == 0, printed
    assert printed.rstrip().endswith("sound"), printed
