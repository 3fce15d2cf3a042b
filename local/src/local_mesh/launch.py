"""Become one process of the mesh; supervisor runs this file for each of them, without the virtual environment.

It reads what to become from ``launch/<name>.json``, which holds secrets and which only the user can read, so that
neither supervisor's configuration nor a process list shows one. The pid stays the same from here on, and the
process ends with its parent also when that is killed.
"""

import ctypes
import json
import os
import signal
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
"""Of Linux's ``<sys/prctl.h>``."""

WAIT_SECONDS = 0.05


def die_with_parent() -> None:
    """Have the kernel send SIGTERM to this process when its parent ends; only Linux can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))


def reset_signals() -> None:
    """Undo what was inherited: a blocked SIGTERM would keep supervisord from ever stopping."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)


def replace_text(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write ``path`` so that a reader sees either the old text or the new one, never half of it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def launch(run: Path, name: str) -> None:
    """Write the pid, wait for what must come first, and become the program."""
    die_with_parent()
    reset_signals()
    what = json.loads((run / "launch" / f"{name}.json").read_text(encoding="utf-8"))
    replace_text(run / f"{name}.pid", f"{os.getpid()}\n")
    if what["after"]:
        gate = Path(what["after"])
        while not gate.exists():
            time.sleep(WAIT_SECONDS)
    os.chdir(what["directory"])
    os.execve(what["command"][0], what["command"], what["environment"])  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    launch(Path(sys.argv[1]), sys.argv[2])
