"""The command: check, start, wait until ready, announce, and stop everything at the end."""

import argparse
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from local_mesh import announcement
from local_mesh.environment import complete, environment_of, read_settings
from local_mesh.folders import CHECKOUT, Folders, claim_folders
from local_mesh.launch import die_with_parent
from local_mesh.mongo import MongoChoice, choose_mongo
from local_mesh.preflight import check_ports
from local_mesh.problems import StartError
from local_mesh.processes import GATEWAY, MONGOD, PROCESSES, SANDBOX, Ports, Process, select_processes
from local_mesh.readiness import Watch, wait_for_primary, wait_until_ready
from local_mesh.stopping import StopRequestedError, StopSignals
from local_mesh.supervisor import Launch, Supervisor
from local_mesh.vendors import GOOGLE_PLAY


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the mesh; return the process's exit code: 0 if it was asked to stop, 1 if it could not start or go on."""
    parser = argparse.ArgumentParser(prog="python -m local_mesh", description="Run the mesh on this machine.")
    parser.add_argument("service", nargs="?", help="only this service and what it needs")
    parser.add_argument("--die-with-parent", action="store_true", help="stop when the calling process ends (Linux)")
    parser.add_argument("--root", type=Path, default=CHECKOUT, help="where .env, .run and .data are (the checkout)")
    parsed = parser.parse_args(arguments)
    if parsed.die_with_parent:
        die_with_parent()
    try:
        with StopSignals() as signals:
            run(parsed.root.resolve(), os.environ, signals, only=parsed.service)
    except StartError as error:
        say(f"cannot run: {error}", to_stderr=True)
        return 1
    except StopRequestedError:
        say("stopped")
    return 0


def run(root: Path, environ: Mapping[str, str], signals: StopSignals, *, only: str | None = None) -> None:
    """Start the mesh and keep it until a signal comes.

    Raises:
        StartError: It cannot start, or supervisord went away.
        StopRequestedError: It was asked to stop, and everything has stopped.
    """
    started = time.monotonic()
    settings = read_settings(root / ".env", environ)
    ports = Ports.parse(settings.get("PORT_BASE"))
    processes = select_processes(only)
    with claim_folders(root, ports) as folders:
        if folders.run.name != ".run":
            say(f"another run holds .run; this one uses {folders.run.name}/ and {folders.data.name}/")
        mongo = choose_mongo(settings, folders, ports.of(MONGOD))
        if mongo.command is None:
            processes = tuple(process for process in processes if process is not MONGOD)
        values = complete(settings, folders=folders, ports=ports, mongo_uri=mongo.uri)
        supervisor = Supervisor(folders)
        supervisor.wait_for_predecessor()
        check_ports(processes, ports)
        try:
            say(f"starting {announcement.names(processes)}")
            watch = Watch(folders, [process.name for process in processes])
            supervisor.start(_launches(processes, values, mongo=mongo, folders=folders, ports=ports))
            _bring_up(processes, values, watch=watch, supervisor=supervisor, folders=folders, ports=ports)
            say(f"\nPixelmint is ready ({time.monotonic() - started:.1f} s)\n")
            say(
                announcement.describe(
                    processes=processes, ports=ports, folders=folders, mongo=mongo, values=values, settings=settings
                )
            )
            signals.wait(lambda: supervisor.is_running)
        except StopRequestedError:
            say("\nstopping")
            raise
        finally:
            signals.ignore()
            supervisor.stop()
        raise StartError(f"supervisord went away; see {folders.shown(folders.log('supervisord'))}")


def _launches(
    processes: Sequence[Process], values: Mapping[str, str], *, mongo: MongoChoice, folders: Folders, ports: Ports
) -> dict[Process, Launch]:
    launches = {}
    for process in processes:
        environment = environment_of(process, values, ports)
        if process.module:
            command = (sys.executable, "-m", process.module)
            launches[process] = Launch(command, environment, folders.run, after=folders.gate)
        elif mongo.command:
            launches[process] = Launch(mongo.command, environment, folders.run)
    return launches


def _bring_up(
    processes: Sequence[Process],
    values: Mapping[str, str],
    *,
    watch: Watch,
    supervisor: Supervisor,
    folders: Folders,
    ports: Ports,
) -> None:
    """Let the processes pass once MongoDB takes writes, and wait for them."""

    def check() -> None:
        if not supervisor.is_running:
            raise StartError(f"supervisord ended: {supervisor.log.read_text(errors='replace').strip()}")

    if SANDBOX in processes and values[GOOGLE_PLAY.credential] == values["SANDBOX_CREDENTIALS_FILE"]:
        _make_sandbox_credentials(Path(values["SANDBOX_CREDENTIALS_FILE"]), ports.url(SANDBOX))
    if MONGOD in processes:
        wait_for_primary(ports.of(MONGOD), watch, check)
    folders.gate.touch()
    addresses = {process: f"{ports.url(process)}/ready" for process in processes if process.module}
    if not set(PROCESSES) - {MONGOD} <= set(processes):
        # Ready is the gateway when all services are; here it only has to be there.
        addresses[GATEWAY] = f"{ports.url(GATEWAY)}/health"
    wait_until_ready(addresses, watch, check)


def _make_sandbox_credentials(file: Path, base_url: str) -> None:
    """Have the sandbox make a service account's file, with a key of its own that Google does not know."""
    command = [sys.executable, "-m", "sandbox_service.credentials", "--out", str(file), "--base-url", base_url]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise StartError(f"the sandbox could not make its credentials: {made.stderr.strip()}")


def say(text: str, *, to_stderr: bool = False) -> None:
    """Print; a terminal that is gone is no reason to stop half-way."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr if to_stderr else sys.stdout, flush=True)
