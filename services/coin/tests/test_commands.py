"""Operators' commands, each as a whole: arguments in, lines and an exit code out."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from coin_service.commands.__main__ import app
from coin_service.commands.opening import Roads
from coin_service.holds import HoldService
from coin_service.inbox import InboxStore
from coin_service.ledger import Ledger, Request
from coin_service.service import CoinService
from common.clients.image import Decision, GenerationDecision
from common.clock import utc_now
from common.mongo import Database, Int64, ObjectId, new_id
from common.testing import TEST_SECRETS, FakeImage
from common.testing.auth import FakeAuth

Command = Callable[..., Awaitable[Result]]


@pytest.fixture
def image() -> FakeImage:
    return FakeImage()


@pytest.fixture
def environment(mongo_uri: str, database_name: str) -> dict[str, str]:
    """What the service itself finds in its environment."""
    secrets = {name.upper(): secret.get_secret_value() for name, secret in TEST_SECRETS.items()}
    return {"MONGO_URI": mongo_uri, "MONGO_DATABASE": database_name, "STRIPE_SECRET_KEY": "sk_test", **secrets}


@pytest.fixture
def command(environment: dict[str, str], auth: FakeAuth, image: FakeImage, ledger: Ledger) -> Command:
    """Run a command in a thread of its own, as it makes an event loop of its own."""

    async def run(*arguments: object) -> Result:
        roads = Roads(auth.transport(), image.transport())
        words = [str(argument) for argument in arguments]
        result = await asyncio.to_thread(CliRunner().invoke, app, words, obj=roads, env=environment)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        return result

    return run


def outcome(result: Result) -> tuple[int, str]:
    return result.exit_code, result.stdout.strip().splitlines()[-1] if result.stdout.strip() else ""


async def test_audit_of_a_sound_ledger(command: Command, ledger: Ledger, ada: str, bob: str) -> None:
    await ledger.last(bob)
    await HoldService(ledger).hold(ada, 10, key="generation:1")
    result = await command("audit")
    assert outcome(result) == (0, "sound")
    lines = result.stdout.splitlines()
    assert lines[0] == "2 wallets, 3 entries, 200 coins, 0 coins of debt, 10 coins in 1 open holds"
    assert lines[1].startswith("open for 0 s: wallet ") or lines[1].startswith("open for 1 s: wallet ")
    assert lines[1].endswith(" under generation:1")


async def test_audit_names_the_wrong_entry_and_fails(
    command: Command, ledger: Ledger, database: Database, ada: str
) -> None:
    await ledger.last(ada)
    wrong = {"$set": {"balance": Int64(500)}}
    await database["entries"].update_one({"user_id": ada}, wrong, bypass_document_validation=True)
    result = await command("audit")
    assert result.exit_code == 1
    assert result.stdout.startswith(f"wallet {ada} entry 1 id ")
    assert "balance: is 500, 100 follows from the entries" in result.stdout
    assert "2 FAULTS" in result.stdout


def test_audit_is_a_process_of_its_own_that_needs_no_secret(mongo_uri: str, database_name: str) -> None:
    environment = {"PATH": os.environ["PATH"], "MONGO_URI": mongo_uri, "MONGO_DATABASE": database_name}
    command = [sys.executable, "-m", "coin_service.commands", "audit"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    # No service has ever run on this database: its rules are not even there.
    assert done.returncode == 1, done.stderr
    assert "ledger: index: the unique index 'wallet' on user_id, seq is missing" in done.stdout

    environment["MONGO_URI"] = "mongodb://127.0.0.1:1/?directConnection=true&serverSelectionTimeoutMS=100"
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (69, "")
    assert done.stderr.startswith("MongoDB does not answer")

    del environment["MONGO_URI"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 78
    assert "MONGO_URI" in done.stderr


async def test_adjust_grants_with_reason_and_actor(
    command: Command, ledger: Ledger, database: Database, ada: str
) -> None:
    options = ["--reason", "Sorry for the outage", "--actor", "grace", "--key", "ticket-7"]
    result = await command("adjust", ada, 50, *options)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(f"done: wallet {ada} entry 2 ")
    assert result.stdout.strip().endswith("grant +50, balance 150, debt 0")
    [entry] = await database["entries"].find({"seq": 2}).to_list(2)
    assert (entry["type"], entry["reason"], entry["actor"]) == ("grant", "Sorry for the outage", "grace")

    again = await command("adjust", ada, 50, *options)
    assert again.stdout.startswith(f"was done before: wallet {ada} entry 2 ")
    other = await command("adjust", ada, 60, *options)
    assert (other.exit_code, other.stderr.split(":")[0]) == (1, "key ticket-7\nidempotency_key_reused")
    assert (await ledger.last(ada)).balance == 150
    assert outcome(await command("audit")) == (0, "sound")


async def test_adjust_takes_what_there_is(command: Command, ledger: Ledger, ada: str) -> None:
    options = ["--reason", "Granted twice", "--actor", "grace"]
    assert (await command("adjust", ada, -30, *options)).stdout.strip().endswith("clawback -30, balance 70, debt 0")
    refused = await command("adjust", ada, -71, *options)
    assert refused.exit_code == 1
    assert "insufficient_coins" in refused.stderr
    owed = await command("adjust", ada, "-90", *options, "--into-debt")
    assert owed.stdout.strip().endswith("clawback -70, balance 0, debt 20")
    owed = await command("adjust", ada, "-5", *options, "--into-debt")
    assert owed.stdout.strip().endswith("clawback +0, balance 0, debt 25")
    paid = await command("adjust", ada, 40, *options)
    assert paid.exit_code == 0
    last = await ledger.last(ada)
    assert (last.balance, last.debt) == (15, 0)
    assert outcome(await command("audit")) == (0, "sound")


@pytest.mark.parametrize(
    "arguments",
    [
        ["me", "5", "--reason", "r", "--actor", "a"],
        ["{ada}", "0", "--reason", "r", "--actor", "a"],
        ["{ada}", "1000001", "--reason", "r", "--actor", "a"],
        ["{ada}", "1.5", "--reason", "r", "--actor", "a"],
        ["{ada}", "5", "--reason", " ", "--actor", "a"],
        ["{ada}", "5", "--reason", "r" * 201, "--actor", "a"],
        ["{ada}", "5", "--actor", "a"],
        ["{ada}", "5", "--reason", "r"],
        ["f" * 24, "5", "--reason", "r", "--actor", "a"],
    ],
)
async def test_adjust_refuses(command: Command, database: Database, ada: str, arguments: list[str]) -> None:
    result = await command("adjust", *(argument.format(ada=ada) for argument in arguments))
    assert result.exit_code in (1, 2)
    assert result.stderr
    assert await database["entries"].count_documents({}) == 0


class Drawing:
    """A generation whose hold was forgotten."""

    def __init__(self, ledger: Ledger, image: FakeImage, database: Database, user_id: str) -> None:
        self.id = new_id()
        self.key = f"generation:{self.id}"
        self.user_id = user_id
        self._ledger = ledger
        self._image = image
        self._database = database

    async def hold(self, *, seconds_ago: float = 1000) -> None:
        await HoldService(self._ledger).hold(self.user_id, 20, key=self.key)
        entries = self._database["entries"]
        entry = await entries.find_one({"key": f"{self.user_id}:hold:{self.key}"})
        assert entry is not None
        moment = utc_now() - timedelta(seconds=seconds_ago)
        await entries.delete_one({"_id": entry["_id"]})
        old_id = ObjectId(ObjectId.from_datetime(moment).binary[:4] + entry["_id"].binary[4:])
        await entries.insert_one(entry | {"_id": old_id, "created_at": moment})

    def decide(self, decision: Decision, coins: int = 0, *, user_id: str | None = None) -> None:
        self._image.decisions[self.id] = GenerationDecision(
            id=self.id, user_id=user_id or self.user_id, state="of the test", decision=decision, coins=coins
        )


@pytest.fixture
def drawing(ledger: Ledger, image: FakeImage, database: Database, ada: str) -> Drawing:
    return Drawing(ledger, image, database, ada)


@pytest.mark.parametrize(
    ("decision", "coins", "wallet", "text"),
    [("capture", 10, (90, 0), "captured 10 of 20 coins"), ("void", 0, (100, 0), "gave 20 coins back")],
)
async def test_hold_is_ended_as_the_image_service_decided(
    command: Command, ledger: Ledger, drawing: Drawing, decision: Any, coins: int, wallet: tuple[int, int], text: str
) -> None:
    await drawing.hold()
    drawing.decide(decision, coins)
    result = await command("holds", "resolve")
    assert outcome(result) == (0, "none left open")
    assert f"{drawing.key}: {text}" in result.stdout
    last = await ledger.last(drawing.user_id)
    assert (last.balance, last.held) == wallet
    assert outcome(await command("holds", "list")) == (0, "0 open holds")
    assert outcome(await command("audit")) == (0, "sound")
    again = await command("holds", "resolve", drawing.user_id, drawing.key)
    assert (again.exit_code, again.stderr.split(",")[0]) == (0, f"this hold was ended by entry {last.seq}")


async def test_hold_that_cannot_be_ended_does_not_stop_the_others(
    command: Command, ledger: Ledger, image: FakeImage, database: Database, ada: str
) -> None:
    odd, sound = (Drawing(ledger, image, database, ada) for _ in range(2))
    await odd.hold(seconds_ago=2000)
    await sound.hold()
    odd.decide("capture", 21)
    sound.decide("capture", 20)
    result = await command("holds", "resolve")
    assert outcome(result) == (1, "1 left open")
    assert f"{odd.key}: left open: 21 coins cannot be captured of 20" in result.stdout
    last = await ledger.last(ada)
    assert (last.balance, last.held) == (60, 20)


@pytest.mark.parametrize("case", ["undecided", "unknown", "foreign", "away", "not a generation's"])
async def test_no_hold_is_ended_on_a_guess(
    command: Command, ledger: Ledger, image: FakeImage, drawing: Drawing, bob: str, case: str
) -> None:
    match case:
        case "undecided":
            drawing.decide("undecided")
        case "foreign":
            drawing.decide("void", user_id=bob)
        case "away":
            image.away = True
        case "not a generation's":
            drawing.key = "something:else"
    await drawing.hold()
    for arguments in ([], [drawing.user_id, drawing.key]):
        assert (await command("holds", "resolve", *arguments)).exit_code == 1
        last = await ledger.last(drawing.user_id)
        assert (last.balance, last.held) == (80, 20)


async def test_young_holds_are_left_to_their_owner(command: Command, ledger: Ledger, drawing: Drawing) -> None:
    await drawing.hold(seconds_ago=600)
    drawing.decide("void")
    assert outcome(await command("holds", "resolve")) == (0, "none left open")
    assert (await ledger.last(drawing.user_id)).held == 20
    listed = await command("holds", "list")
    assert listed.stdout.startswith("open for 60")
    assert outcome(listed) == (0, "1 open holds")
    assert outcome(await command("holds", "list", "--older-than", 11)) == (0, "0 open holds")
    assert outcome(await command("holds", "resolve", "--older-than", 9)) == (0, "none left open")
    assert (await ledger.last(drawing.user_id)).held == 0


async def test_unknown_hold_and_half_a_name(command: Command, ada: str) -> None:
    assert (await command("holds", "resolve", ada, "generation:none")).exit_code == 1
    assert (await command("holds", "resolve", ada)).exit_code == 1


async def test_inbox(command: Command, database: Database) -> None:
    inbox = InboxStore(database)
    for event in ("evt_1", "evt_2"):
        assert await inbox.add("stripe", event, "charge.refunded", {"id": event})
    message = await inbox.claim("stripe:evt_1")
    assert message is not None
    await inbox.set_dead(message, error="payment_not_found")

    result = await command("inbox", "list")
    assert outcome(result) == (0, "2 messages")
    assert outcome(await command("inbox", "list", "--state", "received")) == (0, "1 messages")
    dead = await command("inbox", "dead")
    assert dead.stdout.startswith("stripe:evt_1  charge.refunded  dead, payment_not_found, 1 attempts, ")
    assert '"id": "evt_1"' in (await command("inbox", "show", "stripe:evt_1")).stdout
    assert (await command("inbox", "show", "stripe:evt_3")).exit_code == 1

    assert outcome(await command("inbox", "replay", "stripe:evt_1")) == (0, "1 due again")
    assert outcome(await command("inbox", "dead")) == (0, "0 messages")
    replayed = await inbox.find("stripe:evt_1")
    assert replayed is not None
    assert (replayed.state, replayed.failures, replayed.error) == ("received", 0, None)
    unknown = await command("inbox", "replay", "stripe:evt_2", "stripe:evt_4")
    assert (unknown.exit_code, unknown.stderr.strip()) == (1, "there is no message stripe:evt_4")


async def test_commands_change_nothing_they_are_not_asked_to(command: Command, coins: CoinService, ada: str) -> None:
    await coins.deduct(ada, 5, reason=None, request=Request.of(ada, None, "f"))
    before = await coins.last(ada)
    for arguments in (["audit"], ["holds", "list"], ["holds", "resolve"], ["inbox", "list"]):
        assert (await command(*arguments)).exit_code == 0
    assert await coins.last(ada) == before
