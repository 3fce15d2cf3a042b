"""A command finds the environment of the run it is meant for."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from local_mesh.inside import find_environment
from local_mesh.problems import StartError


def write_run(root: Path, suffix: str, base: int) -> None:
    launch = root / f".run{suffix}" / "launch"
    launch.mkdir(parents=True)
    (launch.parent / "lock").write_text(f"{base}\n")
    (launch / "coin.json").write_text(json.dumps({"environment": {"PORT": str(base + 3)}}))


def test_environment_of_the_right_run(tmp_path: Path) -> None:
    write_run(tmp_path, "", 5000)
    write_run(tmp_path, "-6000", 6000)
    assert find_environment(tmp_path, "coin", port_base=None) == {"PORT": "5003"}
    assert find_environment(tmp_path, "coin", port_base="6000") == {"PORT": "6003"}
    for name, base in (("user", None), ("coin", "7000")):
        with pytest.raises(StartError, match="does not run here"):
            find_environment(tmp_path, name, port_base=base)


def test_the_shell_comes_first() -> None:
    command = [sys.executable, "-m", "local_mesh.inside", "coin", "-c", "import os; print(os.environ['MONGO_URI'])"]
    done = subprocess.run(command, env={"MONGO_URI": "mongodb://mine"}, capture_output=True, text=True, check=True)
    assert done.stdout == "mongodb://mine\n"
