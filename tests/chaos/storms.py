"""What is done to the processes and the engine, phase by phase."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chaos.fleet import LEASE_SECONDS, Fleet
from chaos.weather import Weather
from journey.answers import Json
from journey.sandbox import Sandbox

EVERYBODY = {
    "image": 3,
    "image-2": 3,
    "coin": 3,
    "subscription": 1,
    "gateway": 2,
    "auth": 0.5,
    "user": 0.5,
    "mongod": 1,
}
ENGINE_FAULTS: tuple[Json, ...] = (
    {"status": 500},
    {"status": 429},
    {"status": 403},
    {"hang": True},
    {"delayMs": 3000},
    {"body": "<html>not Stability"},
    {"dropAfterBytes": 1000},
    {"filtered": 1},
)
ALWAYS = 1_000_000


@dataclass(frozen=True)
class Phase:
    """A part of the run.

    Attributes:
        share: Of its time.
        victims: Whom it hits, and how often in proportion.
        every_seconds: Between two hits, on average.
        pauses: How many hits are pauses instead of deaths.
        pause_seconds: How long those are.
        cuts: How many hits cut a process off from all it talks to instead.
        rates: Of single links.
        death_rate: At how many of their messages image and coin die.
        engine_every_seconds: Between two faults of the engine, on average.
        engine_delay_ms: Instead, every drawing takes so much longer.
    """

    name: str
    share: float
    victims: Mapping[str, float]
    every_seconds: float
    pauses: float = 0.3
    pause_seconds: tuple[float, float] = (1.0, 7.0)
    cuts: float = 0.15
    http_rate: float = 0.04
    mongo_rate: float = 0.004
    rates: Mapping[str, float] = field(default_factory=dict)
    death_rate: float = 0.0
    engine_every_seconds: float = 4.0
    engine_delay_ms: int = 0


PHASES = (
    Phase("everything at once", 0.3, EVERYBODY, 1.5),
    Phase(
        "deaths at a message",
        0.25,
        EVERYBODY,
        8.0,
        http_rate=0.01,
        mongo_rate=0.002,
        death_rate=0.015,
        engine_every_seconds=8.0,
    ),
    Phase(
        "pauses beyond the lease",
        0.2,
        {"image": 3, "image-2": 3, "coin": 0.5},
        3.0,
        pauses=1.0,
        pause_seconds=(LEASE_SECONDS * 1.2, LEASE_SECONDS * 2.5),
        http_rate=0.01,
        mongo_rate=0.002,
        # So that whoever is held still is held over a drawing, and wakes up with it when another has decided.
        engine_delay_ms=1500,
    ),
    Phase(
        "lost and late messages to coin",
        0.15,
        EVERYBODY,
        8.0,
        http_rate=0.01,
        rates={"image>coin": 0.4},
        engine_every_seconds=8.0,
    ),
    Phase("the database dies", 0.1, {"mongod": 1}, 5.0, pauses=0.4, cuts=0.0),
)


class Storm:
    """Carries out the phases."""

    def __init__(self, fleet: Fleet, weather: Weather, sandbox: Sandbox, dice: random.Random) -> None:
        self._fleet = fleet
        self._weather = weather
        self._sandbox = sandbox
        self._dice = dice

    async def rage(self, seconds: float, phases: Sequence[Phase]) -> None:
        """Go through ``phases`` in ``seconds``."""
        whole = sum(phase.share for phase in phases)
        for phase in phases:
            self._weather.http_rate, self._weather.mongo_rate = phase.http_rate, phase.mongo_rate
            self._weather.rates, self._weather.death_rate = dict(phase.rates), phase.death_rate
            try:
                async with asyncio.timeout(seconds * phase.share / whole), asyncio.TaskGroup() as group:
                    group.create_task(self._hit(phase, group))
                    group.create_task(self._trouble_engine(phase))
            except TimeoutError:
                pass
            await self._sandbox.reset()
        self._weather.clear_up()

    async def _hit(self, phase: Phase, group: asyncio.TaskGroup) -> None:
        names, weights = list(phase.victims), list(phase.victims.values())
        while True:
            await asyncio.sleep(self._dice.expovariate(1 / phase.every_seconds))
            [name] = self._dice.choices(names, weights)
            chance = self._dice.random()
            if chance < phase.pauses:
                group.create_task(self._fleet.pause(name, self._dice.uniform(*phase.pause_seconds)))
            elif chance < phase.pauses + phase.cuts:
                group.create_task(self._cut_off(name.removesuffix("-2"), self._dice.uniform(0.5, 4.0)))
            else:
                self._fleet.kill(name)

    async def _cut_off(self, name: str, seconds: float) -> None:
        """Break every conversation that a process leads, and let it begin none for a while."""
        self._fleet.tally.count(f"cut off: {name}")
        links = [
            link for (caller, target), link in self._fleet.links.items() if name in (caller.removesuffix("-2"), target)
        ]
        for link in links:
            link.is_open = False
        try:
            await asyncio.gather(*(link.cut_all() for link in links))
            await asyncio.sleep(seconds)
        finally:
            for link in links:
                link.is_open = True

    async def _trouble_engine(self, phase: Phase) -> None:
        if phase.engine_delay_ms:
            slow = {"delayMs": phase.engine_delay_ms, "times": ALWAYS}
            await self._sandbox.fault("stability", operation="text_to_image", **slow)
            return
        while True:
            await asyncio.sleep(self._dice.expovariate(1 / phase.engine_every_seconds))
            fault = self._dice.choice(ENGINE_FAULTS)
            await self._sandbox.fault("stability", operation="text_to_image", **fault)
            self._fleet.tally.count(
                f"engine: {next(iter(fault))}" + (f" {fault['status']}" if "status" in fault else "")
            )
