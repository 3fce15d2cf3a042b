"""Where a run keeps its data and its logs; two runs never share them."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local_mesh.problems import StartError
from local_mesh.processes import Ports

CHECKOUT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Folders:
    """``run`` holds logs, pids and supervisor's files; ``data`` what survives a restart."""

    root: Path
    run: Path
    data: Path

    @property
    def uploads(self) -> Path:
        return self.data / "uploads"

    @property
    def mongod(self) -> Path:
        return self.data / "mongod"

    @property
    def gate(self) -> Path:
        """Exists once MongoDB takes writes; until then the other processes wait."""
        return self.run / "mongod.primary"

    def log(self, name: str) -> Path:
        return self.run / f"{name}.log"

    def pid(self, name: str) -> Path:
        return self.run / f"{name}.pid"

    def shown(self, path: Path) -> str:
        """The path as a user in the checkout would type it."""
        return os.path.relpath(path, self.root) if path.is_relative_to(self.root) else str(path)


@contextmanager
def claim_folders(root: Path, ports: Ports) -> Iterator[Folders]:
    """Take ``.run`` and ``.data``, or ``.run-<base>`` and ``.data-<base>`` while another run has those.

    Raises:
        StartError: This very mesh runs already, or a folder cannot be written.
    """
    for suffix in ("", f"-{ports.base}"):
        folders = Folders(root, run=root / f".run{suffix}", data=root / f".data{suffix}")
        _make(folders)
        with (folders.run / "lock").open("a+", encoding="ascii") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                if lock.read().strip() == str(ports.base):
                    break
                continue
            lock.truncate(0)
            lock.write(f"{ports.base}\n")
            lock.flush()
            yield folders
            return
    raise StartError(
        f"this checkout runs already at {ports.public_url}: stop that run with Ctrl-C in its terminal, "
        f"or start a second one beside it: PORT_BASE={ports.base + 1000} make run"
    )


def _make(folders: Folders) -> None:
    for folder in (folders.run, folders.run / "launch", folders.data, folders.uploads, folders.mongod):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            probe = folder / ".writable"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise StartError(
                f"cannot write into {folder} ({error.strerror}): make it a folder of yours, e.g. with chown"
            ) from error
