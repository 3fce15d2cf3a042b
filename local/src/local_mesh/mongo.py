"""Which MongoDB a run uses: the one in ``MONGO_URI``, a server on this machine, or a container."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from common.mongod import (
    DOCKER_IMAGE,
    LOOPBACK,
    REPLICA_SET,
    MongodUnavailableError,
    check_mongod,
    docker_answers,
    find_mongod,
    mongod_arguments,
)
from local_mesh.folders import Folders
from local_mesh.problems import StartError


@dataclass(frozen=True)
class MongoChoice:
    """A MongoDB, and the command that starts it if that is ours to do."""

    uri: str
    description: str
    command: tuple[str, ...] | None = None


def choose_mongo(settings: Mapping[str, str], folders: Folders, port: int) -> MongoChoice:
    """Decide for a MongoDB; nothing is started yet.

    Raises:
        StartError: There is none, or the given one does not answer.
    """
    if given := settings.get("MONGO_URI"):
        _check_given(given)
        return MongoChoice(given, "the one in MONGO_URI")
    # By the set's name, not directly: the drivers then wait for a primary while the server comes back.
    uri = f"mongodb://{LOOPBACK}:{port}/?replicaSet={REPLICA_SET}"
    try:
        binary = find_mongod()
    except MongodUnavailableError as error:
        if docker_answers():
            return MongoChoice(uri, f"a container of {DOCKER_IMAGE}", _container_command(folders.mongod, port))
        raise StartError(str(error)) from error
    command = (str(binary), "--bind_ip", LOOPBACK, "--dbpath", str(folders.mongod), *mongod_arguments(port=port))
    return MongoChoice(uri, f"MongoDB {check_mongod(binary)}, {folders.shown(binary)}", command)


def _check_given(uri: str) -> None:
    try:
        client: MongoClient[dict[str, Any]]
        with MongoClient(uri, serverSelectionTimeoutMS=5000) as client:
            client.admin.command("ping")
    except (PyMongoError, ValueError) as error:
        reason = str(error).partition(",")[0]
        raise StartError(
            f"the MongoDB in MONGO_URI does not answer ({reason}): start it, or leave MONGO_URI empty"
        ) from error


def _container_command(data: Path, port: int) -> tuple[str, ...]:
    """Run the server in a container, with its files in ``data`` and its port on the loopback interface only."""
    name = f"pixelmint-mongod-{port}"
    run = ("docker", "run", "--rm", "--name", name, "--user", f"{os.getuid()}:{os.getgid()}")
    mounts = ("--volume", f"{data}:/data/db", "--publish", f"{LOOPBACK}:{port}:{port}")
    server = (DOCKER_IMAGE, "mongod", "--bind_ip_all", *mongod_arguments(port=port))
    # A container outlives its client when that is killed; the next start takes its place.
    script = 'docker rm --force "$0" >/dev/null 2>&1; exec "$@"'
    return ("/bin/sh", "-c", script, name, *run, *mounts, *server)
