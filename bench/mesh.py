"""The mesh that is measured: started for the purpose, with data of its own."""

import asyncio
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
from pydantic import SecretStr

from common.mongod import REPLICA_SET

COIN, IMAGE, SANDBOX, MONGOD = 3, 4, 10, 17
"""Ports above the gateway's."""

READY_SECONDS = 60
NAMES = ("mongod", "sandbox", "auth", "user", "coin", "image", "subscription", "gateway")


@dataclass(frozen=True)
class Mesh:
    """Addresses and processes of the running mesh."""

    base: int
    run_folder: Path
    service_secret: SecretStr

    @property
    def mongo_uri(self) -> str:
        """The database of the run: its own, unless ``MONGO_URI`` names one."""
        return os.environ.get("MONGO_URI") or f"mongodb://127.0.0.1:{self.base + MONGOD}/?replicaSet={REPLICA_SET}"

    def url(self, offset: int = 0) -> str:
        """Address of the gateway, or of the process ``offset`` ports above it."""
        return f"http://127.0.0.1:{self.base + offset}"

    async def register(self, client: httpx.AsyncClient) -> str:
        """Make a user; returns the access token."""
        body = {"email": f"bench-{uuid.uuid4().hex}@example.com", "password": "a long enough password"}
        answer = await client.post(f"{self.url()}/api/auth/register", json=body)
        answer.raise_for_status()
        return str(answer.json()["data"]["token"])

    async def register_many(self, count: int) -> list[str]:
        async with httpx.AsyncClient(timeout=30) as client:
            tokens = []
            for _ in range(0, count, 4):
                tokens += await asyncio.gather(*(self.register(client) for _ in range(4)))
        return tokens[:count]

    def processor_seconds(self, name: str) -> float:
        """Processor time a process has used so far."""
        times = psutil.Process(int((self.run_folder / f"{name}.pid").read_text())).cpu_times()
        return times.user + times.system

    def resident_megabytes(self) -> dict[str, float]:
        """Resident memory of each process and its children."""
        figures = {}
        for name in NAMES:
            process = psutil.Process(self._pid(name))
            family = [process, *process.children(recursive=True)]
            figures[name] = sum(member.memory_info().rss for member in family) / 2**20
        return figures

    def forget_peaks(self, names: Sequence[str]) -> None:
        """Have the kernel count anew how much memory these processes hold at most; only Linux does."""
        for name in names:
            Path(f"/proc/{self._pid(name)}/clear_refs").write_text("5", encoding="ascii")

    def peak_megabytes(self, name: str) -> float:
        """Resident memory of one process at most, since its start or since that was forgotten."""
        status = Path(f"/proc/{self._pid(name)}/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))

    def _pid(self, name: str) -> int:
        return int((self.run_folder / f"{name}.pid").read_text(encoding="ascii"))


@asynccontextmanager
async def running_mesh(**environment: str) -> AsyncIterator[Mesh]:
    """Start the whole mesh on free ports in a temporary folder; stop it at the end."""
    base, service_secret = _free_base(), secrets.token_urlsafe(48)
    environment |= {"PORT_BASE": str(base), "LOG_LEVEL": "WARNING", "SERVICE_SECRET": service_secret}
    with tempfile.TemporaryDirectory(prefix="pixelmint-bench-", ignore_cleanup_errors=True) as folder:
        log = Path(folder) / "local_mesh.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "local_mesh", "--root", folder, "--die-with-parent"],
                env=os.environ | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            await _wait_until_ready(base, process, log)
            yield Mesh(base, Path(folder) / ".run", SecretStr(service_secret))
        finally:
            process.terminate()
            process.wait(60)


async def _wait_until_ready(base: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while "is ready" not in log.read_text():
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"the mesh did not start:\n{log.read_text()}")
        await asyncio.sleep(0.1)


def _free_base() -> int:
    for base in range(21000, 29000, 100):
        if all(_free(base + offset) for offset in (*range(6), 10, 17)):
            return base
    raise SystemExit("no free ports")


def _free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
