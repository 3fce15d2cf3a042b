"""A real supervisord with a tiny program: brought back however it ends, and nothing left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from configparser import RawConfigParser
from pathlib import Path

import psutil
import pytest

from local_mesh.folders import Folders
from local_mesh.problems import StartError
from local_mesh.processes import AUTH, GATEWAY, PROCESSES, Process
from local_mesh.readiness import Watch, wait_until_ready
from local_mesh.supervisor import Launch, Supervisor, render_config

RESTART_SECONDS = 2.0
"""What the run promises."""

PROGRAM = Process("coin", 3, "coin_service")


def eventually(condition: Callable[[], bool], *, seconds: float = 15.0) -> float:
    """Wait until ``condition`` holds; return how long it took."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > seconds:
            raise AssertionError(f"not within {seconds} s")
        time.sleep(0.02)
    return time.monotonic() - started


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """Folders with everything in their name that a configuration could stumble over."""
    root = tmp_path / 'it\'s 100%d; of #my "own"'
    (root / ".run" / "launch").mkdir(parents=True)
    return Folders(root, run=root / ".run", data=root / ".data")


@pytest.fixture
def supervisor(folders: Folders) -> Iterator[Supervisor]:
    started = Supervisor(folders)
    yield started
    started.stop()


def program(script: str, folders: Folders, **environment: str) -> Launch:
    return Launch((sys.executable, "-c", script), environment, folders.root)


def pid_in(folders: Folders) -> int:
    try:
        return int(folders.pid(PROGRAM.name).read_text())
    except FileNotFoundError:
        return 0


def test_every_program_is_configured_and_the_gateway_stops_first() -> None:
    config = RawConfigParser()
    config.read_string(render_config(PROCESSES))

    for process in PROCESSES:
        section = config[f"program:{process.name}"]
        assert section["stdout_logfile"] == f"{process.name}.log"
        assert section["autorestart"] == "true"
        assert section["startsecs"] == "0"
    groups = [config[name] for name in config.sections() if name.startswith("group:")]
    groups.sort(key=lambda group: int(group["priority"]))
    assert [group["programs"] for group in groups] == ["mongod,sandbox", "auth,user,coin,image,subscription", "gateway"]
    assert config["unix_http_server"]["chmod"] == "0700"
    assert "inet_http_server" not in config


def test_folder_too_deep_for_a_socket_goes_without_one() -> None:
    config = RawConfigParser()
    config.read_string(render_config(PROCESSES, control=False))

    assert "unix_http_server" not in config
    assert "program:coin" in config


def test_configuration_of_one_service_has_no_empty_group() -> None:
    config = RawConfigParser()
    config.read_string(render_config([AUTH, PROGRAM, GATEWAY]))

    assert "group:base" not in config
    assert config["group:services"]["programs"] == "auth,coin"


def test_killed_program_is_back_every_time(supervisor: Supervisor, folders: Folders) -> None:
    supervisor.start({PROGRAM: program("import signal; signal.pause()", folders)})
    eventually(lambda: pid_in(folders) != 0)

    for _ in range(6):
        before = pid_in(folders)
        os.kill(before, signal.SIGKILL)
        assert eventually(lambda before=before: pid_in(folders) != before) < RESTART_SECONDS  # type: ignore[misc]


def test_program_finds_its_environment_as_it_was_given(supervisor: Supervisor, folders: Folders) -> None:
    odd = "a %(secret)s, with \"quotes\", 'these'; #and\nlines $HOME"
    script = "import json, os, signal; print(json.dumps(dict(os.environ)), os.getcwd(), flush=True); signal.pause()"
    supervisor.start({PROGRAM: program(script, folders, JWT_SECRET=odd)})
    log = folders.log(PROGRAM.name)
    eventually(lambda: log.exists() and log.read_text().endswith("\n"))

    environment, end = json.JSONDecoder().raw_decode(log.read_text())

    assert environment["JWT_SECRET"] == odd
    assert set(environment) <= {"JWT_SECRET", "LC_CTYPE"}  # Python itself may set the latter
    assert log.read_text()[end:].strip() == str(folders.root)
    config = (folders.run / "supervisord.conf").read_text()
    assert odd.split(",")[0] not in config
    assert (folders.run / "launch" / "coin.json").stat().st_mode & 0o777 == 0o600


def test_program_waits_at_the_gate_under_its_final_pid(supervisor: Supervisor, folders: Folders) -> None:
    command = (sys.executable, "-c", "import signal; print('through', flush=True); signal.pause()")
    launch = Launch(command, {}, folders.root, after=folders.gate)
    supervisor.start({PROGRAM: launch})
    eventually(lambda: pid_in(folders) != 0)
    waiting = pid_in(folders)

    assert folders.log(PROGRAM.name).read_text() == ""
    folders.gate.touch()

    eventually(lambda: folders.log(PROGRAM.name).read_text().startswith("through"))
    assert pid_in(folders) == waiting


def test_program_that_keeps_dying_is_said_with_its_last_words(supervisor: Supervisor, folders: Folders) -> None:
    folders.log(PROGRAM.name).write_text("words of an earlier run\n")
    watch = Watch(folders, [PROGRAM.name])
    supervisor.start({PROGRAM: program("raise SystemExit('cannot start: JWT_SECRET: Field required')", folders)})

    def check() -> None:
        assert supervisor.is_running

    with pytest.raises(StartError) as raised:
        wait_until_ready({PROGRAM: "http://127.0.0.1:9/ready"}, watch, check)

    assert "coin keeps dying" in str(raised.value)
    assert "cannot start: JWT_SECRET: Field required" in str(raised.value)
    assert "earlier run" not in str(raised.value)


def test_nothing_is_left_after_a_stop(supervisor: Supervisor, folders: Folders) -> None:
    supervisor.start({PROGRAM: program("import signal; signal.pause()", folders)})
    eventually(lambda: pid_in(folders) != 0)
    pid = pid_in(folders)

    supervisor.stop()

    assert not is_alive(pid)
    assert not list(folders.run.glob("*.pid"))
    assert not list(folders.run.glob("launch/*"))


def test_stop_reaches_supervisord_though_our_parent_had_blocked_it(supervisor: Supervisor, folders: Folders) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM,))
    try:
        supervisor.start({PROGRAM: program("import signal; signal.pause()", folders)})
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))
    eventually(lambda: pid_in(folders) != 0)
    supervisord_pid = int(folders.pid("supervisord").read_text())

    os.kill(supervisord_pid, signal.SIGTERM)

    eventually(lambda: not is_alive(supervisord_pid))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has died")
@pytest.mark.parametrize("killed", ["the run", "supervisord"])
def test_nothing_is_left_after_sigkill(folders: Folders, killed: str) -> None:
    script = f"""
import signal, sys
from pathlib import Path
from local_mesh.folders import Folders
from local_mesh.processes import COIN
from local_mesh.supervisor import Launch, Supervisor
root = Path({str(folders.root)!r})
folders = Folders(root, run=root / ".run", data=root / ".data")
Supervisor(folders).start({{COIN: Launch((sys.executable, "-c", "import signal; signal.pause()"), {{}}, root)}})
signal.pause()
"""
    run = subprocess.Popen([sys.executable, "-c", script])
    try:
        eventually(lambda: pid_in(folders) != 0 and folders.pid("supervisord").exists())
        program_pid, supervisord_pid = pid_in(folders), int(folders.pid("supervisord").read_text())

        os.kill(run.pid if killed == "the run" else supervisord_pid, signal.SIGKILL)

        eventually(lambda: not is_alive(program_pid))
    finally:
        run.kill()
        run.wait()
    eventually(lambda: not is_alive(supervisord_pid))
