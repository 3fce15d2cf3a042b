"""The running mesh: started here by the same command as a newcomer's, or one that runs already."""

import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

OFFSETS = {"gateway": 0, "auth": 1, "user": 2, "coin": 3, "image": 4, "subscription": 5, "sandbox": 10, "mongod": 17}
"""Of every process's port from ``PORT_BASE``, as the contract has them."""

SERVICES = ("auth", "user", "coin", "image", "subscription")
START_SECONDS = 150.0
"""For a machine busy with something else; an idle one needs ten."""

STOP_SECONDS = 60.0
LINES_SHOWN = 15

# A developer's own credentials must never reach a real vendor from a test.
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "MONGO_URI")


_SETTINGS = {
    # Most journeys begin with a registration; what a slow hash is for is none of their matter.
    "BCRYPT_ROUNDS": "4",
    # Enough for a picture on a busy machine, and short enough to wait for when the engine hangs.
    "STABILITY_TIMEOUT_SECONDS": "8",
    # What a killed image service left behind is picked up after this long.
    "LEASE_SECONDS": "6",
    "RECOVERY_INTERVAL_SECONDS": "0.5",
    # A purchase voided at Google Play is missed by nobody for long.
    "GOOGLE_PLAY_SWEEP_SECONDS": "2",
}


@dataclass(frozen=True)
class Mesh:
    """Where a running mesh is; ``root`` holds its ``.run`` and ``.data`` if it was started here.

    ``sandbox`` is empty where the vendors' controls are out of reach.
    """

    gateway: str
    sandbox: str
    root: Path | None = None
    base: int = 0
    _marks: dict[str, int] = field(default_factory=dict)

    @property
    def run(self) -> Path:
        """Folder of the pids and logs."""
        assert self.root is not None
        return self.root / ".run"

    @property
    def data(self) -> Path:
        """Folder of what survives a restart."""
        assert self.root is not None
        return self.root / ".data"

    @property
    def names(self) -> list[str]:
        """The processes that run here."""
        return [name for name in OFFSETS if (self.run / f"{name}.pid").exists()]

    def service(self, name: str) -> str:
        """The address of one service, past the gateway."""
        return f"http://127.0.0.1:{self.base + OFFSETS[name]}"

    def pid(self, name: str) -> int:
        return int((self.run / f"{name}.pid").read_text(encoding="ascii"))

    def secrets(self) -> dict[str, str]:
        """The secrets that this run made for itself."""
        lines = (self.data / "secrets.env").read_text(encoding="utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines if line)

    def logs(self) -> dict[str, str]:
        """Every process's log so far, by its file's name; supervisor puts long ones aside as ``coin.log.1``."""
        return {file.name: file.read_text(encoding="utf-8", errors="replace") for file in self.run.glob("*.log*")}

    def mark(self) -> None:
        """Remember how far every log has come."""
        self._marks.update({file.name: file.stat().st_size for file in self.run.glob("*.log")})

    def said_since_mark(self) -> str:
        """The last lines of what every process has logged since."""
        parts = []
        for file in sorted(self.run.glob("*.log")):
            said = file.read_bytes()[self._marks.get(file.name, 0) :]
            lines = said.decode("utf-8", "replace").splitlines()[-LINES_SHOWN:]
            parts += [f"-- {file.name}", *(line[:400] for line in lines)] if lines else []
        return "\n".join(parts)


def is_ready(gateway: str) -> bool:
    """Whether the gateway says that every service can work."""
    try:
        return httpx.get(f"{gateway}/ready", timeout=3.0, trust_env=False).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


@contextmanager
def running_mesh(root: Path) -> Iterator[Mesh]:
    """Start everything in ``root``, which may hold the data of an earlier run, and stop it at the end.

    Raises:
        RuntimeError: It does not start; the message ends with what it printed.
    """
    base = free_base()
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    printed = root / "printed.txt"
    with printed.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "local_mesh", "--die-with-parent", "--root", str(root)],
            env={**environment, **_SETTINGS, "PORT_BASE": str(base)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the tests; they stop the mesh themselves
        )
    mesh = Mesh(f"http://127.0.0.1:{base}", f"http://127.0.0.1:{base + OFFSETS['sandbox']}", root, base)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not is_ready(mesh.gateway):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the mesh does not start:\n{printed.read_text()}\n{mesh.said_since_mark()}")
            time.sleep(0.1)
        yield mesh
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        finally:
            process.kill()
            process.wait()


def free_base(*further: int) -> int:
    """A port from which all of the mesh's are free, and ``further`` ones; below those that connections are given."""
    while True:
        base = random.randrange(20_000, 32_000, 20)
        try:
            for offset in (*OFFSETS.values(), *further):
                socket.create_server(("127.0.0.1", base + offset)).close()
        except OSError:
            continue
        return base
