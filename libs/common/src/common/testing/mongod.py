"""Start a real MongoDB for tests that leaves nothing behind."""

import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from common.mongod import (
    DOCKER_IMAGE,
    LOOPBACK,
    MongodUnavailableError,
    docker_answers,
    ensure_primary,
    find_mongod,
    mongod_arguments,
)

__all__ = ["MongodUnavailableError", "free_port", "running_mongod"]

_PORT_IN_CONTAINER = 27017

# A server that is being killed may still make a file in a folder that is being removed: that is tried more than once.
_WATCH = """
read _
kill -9 "$1" 2>/dev/null
for try in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf "$2" 2>/dev/null && break
    sleep 0.2
done
"""


@contextmanager
def running_mongod() -> Iterator[str]:
    """A MongoDB for tests, as its URI; nothing of it is left afterwards, also when this process is killed.

    ``MONGO_URI`` if set; else a container where a Docker engine answers and the image is to be had; else a server
    process in a temporary folder.

    Raises:
        MongodUnavailableError: There is no way to a MongoDB.
    """
    with ExitStack() as stack:
        if uri := os.environ.get("MONGO_URI"):
            yield uri
        elif docker_answers() and (address := _start_container(stack)):
            yield f"mongodb://{address}/?directConnection=true"
        else:
            yield f"mongodb://{_start_process(stack, find_mongod())}/?directConnection=true"


def _start_container(stack: ExitStack) -> str | None:
    """Start a container that testcontainers' reaper removes; ``None`` if this engine cannot have the image."""
    from docker.errors import DockerException
    from testcontainers.core.container import DockerContainer

    container = DockerContainer(DOCKER_IMAGE).with_exposed_ports(_PORT_IN_CONTAINER)
    container.with_command(["mongod", "--bind_ip_all", *mongod_arguments(port=_PORT_IN_CONTAINER)])
    try:
        stack.enter_context(container)
    except DockerException:
        return None
    host, port = container.get_container_host_ip(), int(container.get_exposed_port(_PORT_IN_CONTAINER))
    ensure_primary(port, host=host, member=f"{LOOPBACK}:{_PORT_IN_CONTAINER}")
    return f"{host}:{port}"


def _start_process(stack: ExitStack, binary: Path) -> str:
    folder = Path(tempfile.mkdtemp(prefix="mongod-for-tests-"))
    port = free_port()
    with (folder / "log").open("wb") as log:
        mongod = subprocess.Popen(
            [str(binary), "--bind_ip", LOOPBACK, "--dbpath", str(folder), *mongod_arguments(port=port)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for the tests; they still need it to clean up
        )
    # The other end of its stdin is ours alone: however this process ends, the watcher reads end of file and clears up.
    watcher = subprocess.Popen(
        ["/bin/sh", "-c", _WATCH, "watcher", str(mongod.pid), str(folder)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    stack.callback(mongod.wait)
    stack.callback(watcher.communicate)
    try:
        ensure_primary(port)
    except MongodUnavailableError as error:
        last_lines = (folder / "log").read_text(errors="replace").splitlines()[-5:]
        raise MongodUnavailableError("\n".join([str(error), *last_lines])) from error
    return f"{LOOPBACK}:{port}"


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on just now."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
