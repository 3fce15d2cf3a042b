"""All processes of a mesh, every edge between them a link; what dies is started again."""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from chaos.tally import Tally
from common.mongod import ensure_primary
from journey.mesh import free_base, is_ready
from journey.polling import until
from links.http import http
from links.link import Link
from links.mongo import mongo
from local_mesh import launch
from local_mesh.environment import complete, environment_of
from local_mesh.folders import Folders, claim_folders
from local_mesh.launch import replace_text
from local_mesh.mongo import choose_mongo
from local_mesh.processes import (
    AUTH,
    COIN,
    GATEWAY,
    IMAGE,
    MONGOD,
    PROCESSES,
    SANDBOX,
    SUBSCRIPTION,
    USER,
    Ports,
    Process,
)
from local_mesh.supervisor import Launch

SECOND_IMAGE_OFFSET = 14
READY_SECONDS = 120.0
RESTART_SECONDS = 0.5
"""At most, from a death to the next life."""

LEASE_SECONDS = 3

SETTINGS = {
    "BCRYPT_ROUNDS": "4",
    "LOG_LEVEL": "WARNING",
    "LEASE_SECONDS": str(LEASE_SECONDS),
    "RECOVERY_INTERVAL_SECONDS": "0.5",
    "STABILITY_TIMEOUT_SECONDS": "10",
    # Twelve phones order from one address, and a user's orders pile up while processes are down.
    "MAX_GENERATIONS_PER_USER": "64",
}


@dataclass
class Member:
    """One process through all its lives."""

    name: str
    starts: int = 0
    process: subprocess.Popen[bytes] | None = None
    starts_at: float = 0.0

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None


@dataclass
class Fleet:
    """A running mesh of killable processes.

    Attributes:
        links: By caller and target, such as ``("image", "coin")``; ``("phone", "gateway")`` is the way in.
    """

    folders: Folders
    ports: Ports
    tally: Tally
    dice: random.Random
    members: dict[str, Member] = field(default_factory=dict)
    links: dict[tuple[str, str], Link] = field(default_factory=dict)

    @property
    def gateway(self) -> str:
        """The address of the gateway itself."""
        return self.ports.url(GATEWAY)

    @property
    def sandbox(self) -> str:
        return self.ports.url(SANDBOX)

    @property
    def mongo_uri(self) -> str:
        """The database's own address, past the links."""
        return f"mongodb://127.0.0.1:{self.ports.of(MONGOD)}/?directConnection=true"

    def kill(self, name: str) -> None:
        """Kill a process at any moment."""
        self.strike(name)
        self.tally.count(f"killed: {name}")

    def strike(self, name: str) -> None:
        """Kill a process; it is gone when this returns."""
        process = self.members[name].process
        if process is not None:
            process.kill()
            process.wait()

    async def pause(self, name: str, seconds: float) -> None:
        """Hold a process still for a while."""
        if self._signal(name, signal.SIGSTOP):
            self.tally.count(f"paused: {name}")
            process = self.members[name].process
            try:
                await asyncio.sleep(seconds)
            finally:
                if process is not None and process.poll() is None:
                    process.send_signal(signal.SIGCONT)

    def _signal(self, name: str, number: signal.Signals) -> bool:
        process = self.members[name].process
        if process is None or process.poll() is not None:
            return False
        process.send_signal(number)
        return True

    def start(self, name: str) -> None:
        member = self.members.setdefault(name, Member(name))
        member.starts += 1
        with self.folders.log(name).open("ab") as log:
            member.process = subprocess.Popen(
                [sys.executable, "-I", "-S", launch.__file__, str(self.folders.run), name],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the run; it ends them itself
            )

    async def keep(self) -> None:
        """Start again what died, for ever; note how much memory each takes."""
        measured = 0.0
        while True:
            for name, member in self.members.items():
                if member.is_alive:
                    member.starts_at = 0.0
                elif not member.starts_at:
                    member.starts_at = time.monotonic() + self.dice.uniform(0, RESTART_SECONDS)
                elif time.monotonic() > member.starts_at:
                    self.start(name)
            if time.monotonic() > measured + 1:
                measured = time.monotonic()
                self._measure()
            await asyncio.sleep(0.05)

    def _measure(self) -> None:
        for name, member in self.members.items():
            if member.process is not None:
                with contextlib.suppress(psutil.Error):
                    resident = psutil.Process(member.process.pid).memory_info().rss / 2**20
                    self.tally.peak_megabytes[name] = max(resident, self.tally.peak_megabytes.get(name, 0.0))

    def end(self) -> None:
        """Kill everything that was started."""
        for member in self.members.values():
            if member.process is not None:
                member.process.kill()
                member.process.wait()

    async def ready(self) -> None:
        """Wait until every process can work."""

        async def all_are() -> bool:
            alive = all(member.is_alive for member in self.members.values())
            return alive and all(
                await asyncio.gather(*(asyncio.to_thread(is_ready, address) for address in self._addresses()))
            )

        await until(all_are, "every process can work", seconds=READY_SECONDS)

    def _addresses(self) -> list[str]:
        plain = [self.ports.url(process) for process in (AUTH, USER, COIN, IMAGE, SUBSCRIPTION, GATEWAY)]
        return [*plain, f"http://127.0.0.1:{self.ports.base + SECOND_IMAGE_OFFSET}"]


@asynccontextmanager
async def running_fleet(root: Path, tally: Tally, dice: random.Random) -> AsyncIterator[Fleet]:
    """Start everything in ``root``; kill it at the end."""
    base = free_base(SECOND_IMAGE_OFFSET)
    ports = Ports(base)
    with claim_folders(root, ports) as folders:
        async with AsyncExitStack() as opened:
            fleet = Fleet(folders, ports, tally, dice)
            opened.callback(fleet.end)
            choice = choose_mongo({}, folders, ports.of(MONGOD))
            if choice.command is None:
                raise RuntimeError("the database of a run like this must be its own")
            _write(folders, "mongod", Launch(choice.command, {"PATH": os.environ["PATH"]}, folders.run))
            fleet.start("mongod")
            values = complete(SETTINGS, folders=folders, ports=ports, mongo_uri=choice.uri)
            await _lay(fleet, values, opened)
            await asyncio.to_thread(ensure_primary, ports.of(MONGOD))
            fleet.start("sandbox")
            credentials = Path(values["SANDBOX_CREDENTIALS_FILE"])
            await until(lambda: asyncio.to_thread(credentials.exists), "the sandbox has started", seconds=READY_SECONDS)
            for name in ("auth", "user", "coin", "image", "image-2", "subscription", "gateway"):
                fleet.start(name)
            await fleet.ready()
            keeping = asyncio.create_task(fleet.keep())
            try:
                yield fleet
            finally:
                keeping.cancel()
                await asyncio.gather(keeping, return_exceptions=True)


async def _lay(fleet: Fleet, values: Mapping[str, str], opened: AsyncExitStack) -> None:
    """Lay a link on every edge, and write down what each process will find in its environment."""
    ports = fleet.ports
    for process in (process for process in PROCESSES if process.module):
        environment = environment_of(process, values, ports)
        await _lay_from(process.name, process, environment, fleet, opened)
        if process is IMAGE:
            second = environment | {"PORT": str(ports.base + SECOND_IMAGE_OFFSET)}
            await _lay_from("image-2", process, second, fleet, opened)
    way_in = await opened.enter_async_context(Link("phone>gateway", http, [ports.of(GATEWAY)]).listening())
    fleet.links["phone", "gateway"] = way_in


async def _lay_from(
    name: str, process: Process, environment: dict[str, str], fleet: Fleet, opened: AsyncExitStack
) -> None:
    """Lay the links that one process calls over; the sandbox calls over none, since vendors' roads are not ours."""
    ports = fleet.ports
    for target in PROCESSES:
        if SANDBOX is process or target in (process, GATEWAY):
            continue
        at = [ports.of(target)]
        if target is IMAGE:
            at.append(ports.base + SECOND_IMAGE_OFFSET)
        speaks = mongo if target is MONGOD else http
        link = await opened.enter_async_context(Link(f"{name}>{target.name}", speaks, at).listening())
        fleet.links[name, target.name] = link
        environment = _through(link, target, environment, ports)
    command = (sys.executable, "-m", process.module or "")
    _write(fleet.folders, name, Launch(command, environment, fleet.folders.run))


def _through(link: Link, target: Process, environment: Mapping[str, str], ports: Ports) -> dict[str, str]:
    if target is MONGOD:
        # Directly: the set's own address would lead past the link.
        through = f"mongodb://127.0.0.1:{link.port}/?directConnection=true"
        return {**environment, "MONGO_URI": through} if "MONGO_URI" in environment else dict(environment)
    return {name: value.replace(ports.url(target), link.url) for name, value in environment.items()}


def _write(folders: Folders, name: str, what: Launch) -> None:
    replace_text(folders.run / "launch" / f"{name}.json", what.to_json(), mode=0o600)
