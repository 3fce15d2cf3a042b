"""One run: start, storm, heal, judge, say."""

import asyncio
import random
import ssl
import time
from pathlib import Path

import httpx

from chaos.fleet import Fleet, running_fleet
from chaos.people import PATIENCE_SECONDS, Crowd, Person
from chaos.storms import PHASES, Storm
from chaos.tally import Tally
from chaos.verdict import HEAL_SECONDS, Court
from chaos.weather import Weather
from journey.answers import data
from journey.phone import PASSWORD, Account, Caller, Phone, fresh_email, fresh_purchase
from journey.sandbox import Sandbox

SUBSCRIBED = 0.25


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - this is what the run is for


async def run(folder: Path, seed: int, seconds: float, users: int, clients: int, phase: str) -> int:
    """Return the exit code: 0 if nothing was wrong."""
    dice, tally = random.Random(seed), Tally()
    say(f"seed {seed}, {seconds:.0f} s, {users} users, {clients} clients")
    async with running_fleet(folder, tally, random.Random(dice.random())) as fleet:
        weather = Weather(random.Random(dice.random()), tally, fleet.strike)
        for link in fleet.links.values():
            link.tap = weather
        tls = ssl.create_default_context()  # loading it takes longer than a request
        way_in = fleet.links["phone", "gateway"].url
        limits = httpx.Limits(max_connections=200, max_keepalive_connections=50)
        async with httpx.AsyncClient(
            base_url=way_in, verify=tls, trust_env=False, timeout=PATIENCE_SECONDS, limits=limits
        ) as http:
            people = [await _register(http, is_subscribed=number < users * SUBSCRIBED) for number in range(users)]
            await _storm(fleet, weather, people, tally, dice, seconds, clients, phase)
            court = Court(fleet, tally, weather)
            await court.heal()
            say("judging")
            await court.judge(people)
    say(tally.show())
    for violation in tally.violations:
        say(f"VIOLATION {violation}")
    say(f"{len(tally.violations)} violations, seed {seed}")
    return 1 if tally.violations else 0


async def _storm(
    fleet: Fleet,
    weather: Weather,
    people: list[Person],
    tally: Tally,
    dice: random.Random,
    seconds: float,
    clients: int,
    phase: str,
) -> None:
    """Let everybody order while the storm goes on; then have it calm down, and wait for the last answers."""
    sandbox = Sandbox(fleet.sandbox)
    storm = Storm(fleet, weather, sandbox, random.Random(dice.random()))
    ends = time.monotonic() + seconds
    say("storm")
    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            crowd = Crowd(tally, random.Random(dice.random()))
            group.create_task(crowd.work(people[number % len(people)], ends, ends + HEAL_SECONDS))
        await storm.rage(seconds, [each for each in PHASES if phase in each.name])
        say("calm")
        began = time.monotonic()
        await fleet.ready()
        tally.counts["seconds until all were ready"] = round(time.monotonic() - began)
    tally.counts["seconds until all were answered"] = round(time.monotonic() - began)


async def _register(http: httpx.AsyncClient, *, is_subscribed: bool) -> Person:
    body = {"email": fresh_email(), "password": PASSWORD, "name": "Ada"}
    phone = Phone(http, Account.of(data(await Caller(http).post("/api/auth/register", body), 201), PASSWORD))
    if is_subscribed:
        purchase = {"purchaseToken": fresh_purchase(), "productId": "pro_monthly", "packageName": "com.example.app"}
        assert data(await phone.post("/api/subscription/verify", purchase))["subscription"]["isActive"]
    return Person(phone, is_subscribed)
