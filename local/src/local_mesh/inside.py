"""Run a command with what a process of the running mesh finds in its environment.

``python -m local_mesh.inside coin -m coin_service.commands audit`` does here what an operator elsewhere does in coin's
container. With ``MONGO_URI`` in the shell the command runs as it is, with the shell's environment alone.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from local_mesh.folders import CHECKOUT
from local_mesh.problems import StartError


def find_environment(root: Path, name: str, *, port_base: str | None) -> dict[str, str]:
    """Return the environment of process ``name``; of the run at ``port_base`` if there are several.

    Raises:
        StartError: No such process runs.
    """
    for folder in sorted(root.glob(".run*")):
        launch, lock = folder / "launch" / f"{name}.json", folder / "lock"
        if not launch.is_file() or (port_base and lock.read_text(encoding="ascii").strip() != port_base):
            continue
        environment: dict[str, str] = json.loads(launch.read_text(encoding="utf-8"))["environment"]
        return environment
    raise StartError(f"{name} does not run here: start it with `make run`, or set MONGO_URI")


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> None:
    """Become Python with these arguments, the first of which names the process."""
    name, *command = arguments
    try:
        environment = (
            dict(environ)
            if environ.get("MONGO_URI")
            else find_environment(CHECKOUT, name, port_base=environ.get("PORT_BASE"))
        )
    except StartError as error:
        sys.exit(f"cannot run: {error}")
    os.execve(sys.executable, [sys.executable, *command], environment)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:], os.environ)
