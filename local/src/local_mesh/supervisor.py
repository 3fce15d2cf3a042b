"""supervisor keeps the processes: its configuration, its start and its end."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from local_mesh import launch
from local_mesh.folders import Folders
from local_mesh.launch import replace_text
from local_mesh.processes import Process

STOP_SECONDS = 10
"""Life of a process after SIGTERM; then it is killed."""

LONGEST_SOCKET_PATH = 90
"""Unix sockets allow 104 bytes on macOS, 108 on Linux; supervisor adds a number of its own."""

_GROUPS = ("base", "services", "edge")
"""Names of the groups by ``Process.stop_order``."""

_SUPERVISORD = """\
; Made by the local run.
[supervisord]
nodaemon=true
silent=true
logfile=supervisord.log
logfile_maxbytes=1MB
logfile_backups=1
pidfile=supervisord.pid
"""

_CONTROL = """
; For `supervisorctl status` or `supervisorctl restart services:coin` in this folder.
[unix_http_server]
file=supervisor.sock
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://supervisor.sock
"""

# startsecs=0: no exit counts as a failed start, so supervisor never backs off and never gives up.
_PROGRAM = """
[program:{name}]
command=/bin/sh -c 'exec "$MESH_PYTHON" -I -S "$MESH_LAUNCH" . {name}'
autorestart=true
startsecs=0
startretries=1000000
stopwaitsecs={stop_seconds}
killasgroup=true
redirect_stderr=true
stdout_logfile={name}.log
stdout_logfile_maxbytes=5MB
stdout_logfile_backups=1
"""

_GROUP = """
[group:{name}]
programs={programs}
priority={priority}
"""


@dataclass(frozen=True)
class Launch:
    """What a program becomes: its command, its environment, its folder, and the file it waits for."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    directory: Path
    after: Path | None = None

    def to_json(self) -> str:
        return json.dumps(
            {
                "command": self.command,
                "environment": dict(self.environment),
                "directory": str(self.directory),
                "after": str(self.after) if self.after else None,
            }
        )


def render_config(processes: Iterable[Process], *, control: bool = True) -> str:
    """Write supervisor's configuration; no path and no value of the user's is in it, so nothing needs escaping."""
    processes = list(processes)
    parts = [_SUPERVISORD, _CONTROL] if control else [_SUPERVISORD]
    parts += [_PROGRAM.format(name=process.name, stop_seconds=STOP_SECONDS) for process in processes]
    for order, group in enumerate(_GROUPS):
        if names := [process.name for process in processes if process.stop_order == order]:
            parts.append(_GROUP.format(name=group, programs=",".join(names), priority=order + 1))
    return "".join(parts)


class Supervisor:
    """A running supervisord; it lives no longer than this process."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._process: subprocess.Popen[bytes] | None = None

    def wait_for_predecessor(self) -> None:
        """Let a supervisord finish whose own run was killed; it is stopping everything just now."""
        deadline = time.monotonic() + 3 * STOP_SECONDS
        while time.monotonic() < deadline:
            try:
                os.kill(int(self._folders.pid("supervisord").read_text(encoding="ascii")), 0)
            except (OSError, ValueError):
                return
            time.sleep(0.1)

    def start(self, launches: Mapping[Process, Launch]) -> None:
        """Start all programs; their order is that of ``launches``."""
        run = self._folders.run
        self._clear()
        for process, what in launches.items():
            replace_text(run / "launch" / f"{process.name}.json", what.to_json(), mode=0o600)
        control = len(os.fsencode(run / "supervisor.sock")) <= LONGEST_SOCKET_PATH
        replace_text(run / "supervisord.conf", render_config(launches, control=control))
        # What supervisord has in its environment its children's launcher sees, and no more than this.
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "MESH_PYTHON": sys.executable,
            "MESH_LAUNCH": launch.__file__,
        }
        command = (sys.executable, "-m", "local_mesh.supervisord", "--configuration", "supervisord.conf")
        itself = Launch(command, environment, run)
        replace_text(run / "launch" / "supervisord.json", itself.to_json(), mode=0o600)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", launch.__file__, str(run), "supervisord"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Neither Ctrl-C nor a closed terminal is for supervisord, which takes SIGHUP for a restart of all.
                start_new_session=True,
            )

    @property
    def log(self) -> Path:
        """What supervisord itself could not put into its log."""
        return self._folders.run / "supervisord.err"

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Stop the gateway, then the services, then what they stand on; bounded by ``STOP_SECONDS`` each."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
        self._clear()

    def _clear(self) -> None:
        run = self._folders.run
        for file in (*run.glob("*.pid"), *run.glob("launch/*.json"), self._folders.gate, run / "supervisor.sock"):
            file.unlink(missing_ok=True)
