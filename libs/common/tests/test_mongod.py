"""The MongoDB of tests and of the local run: found, explained, started, re-addressed, and never left behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pymongo import MongoClient

from common.mongod import (
    LOOPBACK,
    MongodUnavailableError,
    check_mongod,
    ensure_primary,
    explain_failure,
    find_mongod,
    mongod_arguments,
)
from common.testing.mongod import free_port

START_AND_WAIT = """
from common.testing.mongod import running_mongod
with running_mongod() as uri:
    print(uri, flush=True)
    input()
"""


def eventually(condition: Callable[[], bool], *, seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def is_listening(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((LOOPBACK, port)) == 0


def broken_mongod(folder: Path, complaint: str) -> Path:
    binary = folder / "mongod"
    binary.write_text(f'#!/bin/sh\necho "{complaint}" >&2\nexit 127\n')
    binary.chmod(0o755)
    return binary


def test_missing_library_is_named_with_the_package_that_holds_it(tmp_path: Path) -> None:
    complaint = "error while loading shared libraries: libcurl.so.4: cannot open shared object file: No such file"
    binary = broken_mongod(tmp_path, complaint)

    with pytest.raises(
        MongodUnavailableError, match=r"libcurl\.so\.4, which is missing: sudo apt-get install libcurl4"
    ) as raised:
        check_mongod(binary)

    assert "\n" not in str(raised.value)


def test_too_old_system_is_said() -> None:
    message = explain_failure(
        Path("mongod"), "mongod: /lib/libc.so.6: version `GLIBC_2.34' not found (required by mongod)"
    )

    assert "GLIBC_2.34" in message
    assert "MONGO_URI" in message


def test_broken_server_on_the_path_gives_way_to_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = broken_mongod(tmp_path, "no")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    assert find_mongod() != broken


def test_nothing_is_left_when_the_tests_are_killed(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "MONGO_URI"}
    environment |= {"DOCKER_HOST": f"unix://{tmp_path}/no-engine", "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", START_AND_WAIT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as tests:
        assert tests.stdout is not None
        port = int(tests.stdout.readline().split("/?")[0].rpartition(":")[2])
        assert is_listening(port)
        assert list(tmp_path.iterdir())

        tests.send_signal(signal.SIGKILL)

    assert eventually(lambda: not is_listening(port) and not list(tmp_path.iterdir()))


def test_replica_set_follows_its_server_to_another_port(tmp_path: Path) -> None:
    binary = find_mongod()
    for written in (0, 1):
        port = free_port()
        command = [str(binary), "--bind_ip", LOOPBACK, "--dbpath", str(tmp_path), *mongod_arguments(port=port)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as mongod:
            try:
                ensure_primary(port)
                ensure_primary(port)
                uri = f"mongodb://{LOOPBACK}:{port}/?replicaSet=rs0&w=majority"
                with MongoClient[dict[str, int]](uri, serverSelectionTimeoutMS=10_000) as client:
                    notes = client["test"]["notes"]
                    assert notes.count_documents({}) == written
                    notes.insert_one({"port": port})
            finally:
                mongod.terminate()
