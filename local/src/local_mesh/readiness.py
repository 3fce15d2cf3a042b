"""Wait until everything works, or say which process does not and why."""

import http.client
import time
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from common.mongod import MongodUnavailableError, ensure_primary
from local_mesh.folders import Folders
from local_mesh.problems import StartError
from local_mesh.processes import MONGOD, Process

READY_SECONDS = 120.0
"""Ten are enough on two idle cores; this is for a machine that is busy with something else."""

FAILED_STARTS = 3
"""A process that ended this often before all were ready will not become ready by itself."""

LINES_SHOWN = 15


class Watch:
    """Sees from the pid files how often each process was started; made before the start."""

    def __init__(self, folders: Folders, names: Iterable[str]) -> None:
        self._folders = folders
        self._pids: dict[str, set[str]] = {name: set() for name in names}
        self._log_sizes = {name: self._log_size(name) for name in self._pids}

    def look(self) -> None:
        """Take note of the current pids.

        Raises:
            StartError: A process keeps dying; the message ends with the last lines of its log.
        """
        for name, seen in self._pids.items():
            try:
                seen.add(self._folders.pid(name).read_text(encoding="ascii"))
            except FileNotFoundError:
                continue
            if len(seen) > FAILED_STARTS:
                raise StartError(f"{name} keeps dying; {self.end_of_log(name)}")

    def end_of_log(self, name: str) -> str:
        """The last lines that ``name`` wrote since the start."""
        log = self._folders.log(name)
        written = log.read_bytes() if log.exists() else b""
        before = self._log_sizes[name] if self._log_sizes[name] <= len(written) else 0
        lines = written[before:].decode(errors="replace").splitlines()
        return "\n    ".join([f"the end of {self._folders.shown(log)}:", *lines[-LINES_SHOWN:]])

    def _log_size(self, name: str) -> int:
        log = self._folders.log(name)
        return log.stat().st_size if log.exists() else 0


def wait_for_primary(port: int, watch: Watch, check: Callable[[], None]) -> None:
    """Wait until our own MongoDB takes writes.

    Raises:
        StartError: It does not come up.
    """
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            ensure_primary(port, timeout_seconds=1.0)
        except MongodUnavailableError as error:
            watch.look()
            check()
            if time.monotonic() > deadline:
                raise StartError(f"{error}; {watch.end_of_log(MONGOD.name)}") from error
        else:
            return


def wait_until_ready(addresses: dict[Process, str], watch: Watch, check: Callable[[], None]) -> None:
    """Wait until each of ``addresses`` answers 200; ``check`` is called in between and may raise.

    Raises:
        StartError: One does not, or keeps dying.
    """
    waiting = dict(addresses)
    deadline = time.monotonic() + READY_SECONDS
    while waiting:
        watch.look()
        check()
        for process in [process for process, url in waiting.items() if _answers(url)]:
            del waiting[process]
        if waiting and time.monotonic() > deadline:
            first = next(iter(waiting)).name
            names = ", ".join(process.name for process in waiting)
            raise StartError(f"not ready after {READY_SECONDS:.0f} s: {names}; {watch.end_of_log(first)}")
        time.sleep(0.1)


def _answers(url: str) -> bool:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=2.0)
    try:
        connection.request("GET", address.path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
