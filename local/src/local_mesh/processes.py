"""The processes of the mesh, their ports, and what each needs."""

from collections.abc import Iterable
from dataclasses import dataclass

from local_mesh.problems import StartError

DEFAULT_PORT_BASE = 5000


@dataclass(frozen=True)
class Process:
    """One process; its port is the base of the run plus ``offset``."""

    name: str
    offset: int
    module: str | None = None
    """What ``python -m`` runs; ``mongod`` has none."""

    needs: tuple[str, ...] = ()
    """What must run for this one to do its work."""

    stop_order: int = 1
    """Supervisor stops the highest first: the gateway, then those it forwards to, then what they stand on."""


MONGOD = Process("mongod", 17, stop_order=0)
SANDBOX = Process("sandbox", 10, "sandbox_service", stop_order=0)
AUTH = Process("auth", 1, "auth_service", needs=("mongod",))
USER = Process("user", 2, "user_service", needs=("mongod", "auth"))
COIN = Process("coin", 3, "coin_service", needs=("mongod", "sandbox", "auth"))
IMAGE = Process("image", 4, "image_service", needs=("mongod", "sandbox", "coin", "subscription"))
SUBSCRIPTION = Process("subscription", 5, "subscription_service", needs=("mongod", "sandbox"))
GATEWAY = Process("gateway", 0, "gateway_service", stop_order=2)

PROCESSES = (MONGOD, SANDBOX, AUTH, USER, COIN, IMAGE, SUBSCRIPTION, GATEWAY)
"""In the order in which they are started."""

_ALWAYS = (GATEWAY.name, AUTH.name)
"""Without these nobody could use the one service that was asked for: an address, and a token."""


def select_processes(only: str | None = None) -> tuple[Process, ...]:
    """Return all processes, or ``only`` with everything it needs, in starting order.

    Raises:
        StartError: There is no such process.
    """
    if only is None:
        return PROCESSES
    wanted = _with_needs([only, *_ALWAYS])
    return tuple(process for process in PROCESSES if process.name in wanted)


def _with_needs(names: Iterable[str]) -> set[str]:
    by_name = {process.name: process for process in PROCESSES}
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in by_name:
            raise StartError(f"there is no process {name!r}; there are {', '.join(by_name)}")
        if name not in found:
            found.add(name)
            waiting.extend(by_name[name].needs)
    return found


@dataclass(frozen=True)
class Ports:
    """Where everything listens: all ports are ``base`` plus a fixed offset."""

    base: int = DEFAULT_PORT_BASE

    @classmethod
    def parse(cls, text: str | None) -> "Ports":
        """Read ``PORT_BASE``.

        Raises:
            StartError: It is not a number from which all ports can be counted.
        """
        if not text:
            return cls()
        highest = 65535 - max(process.offset for process in PROCESSES)
        if not text.isascii() or not text.isdigit() or not 1024 <= int(text) <= highest:
            raise StartError(
                f"PORT_BASE is {text!r}; take a number from 1024 to {highest}, e.g. PORT_BASE=6000 make run"
            )
        return cls(int(text))

    def of(self, process: Process) -> int:
        return self.base + process.offset

    def url(self, process: Process) -> str:
        """The address of ``process`` on this machine, without a slash at the end."""
        return f"http://127.0.0.1:{self.of(process)}"

    @property
    def public_url(self) -> str:
        """The gateway as people type it."""
        return f"http://localhost:{self.of(GATEWAY)}"
