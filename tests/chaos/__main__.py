"""Run a mesh under fire and judge it: ``make chaos``, or ``python tests/chaos --seconds 300 --seed 7``."""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from chaos.run import run

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python tests/chaos", description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=300.0, help="length of the storm; healing and judging come after it"
    )
    parser.add_argument("--seed", type=int, default=None, help="repeats a run's dice, though not its timing")
    parser.add_argument("--users", type=int, default=8)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--phase", default="", help="only the phases with this in their name")
    parser.add_argument(
        "--keep", action="store_true", help="leave data and logs where they are, as if something had been wrong"
    )
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.randrange(10**9)
    folder = Path(tempfile.mkdtemp(prefix="pixelmint-chaos-"))
    code = asyncio.run(run(folder, seed, arguments.seconds, arguments.users, arguments.clients, arguments.phase))
    if arguments.keep or code:
        print(f"data and logs: {folder}")  # noqa: T201
    else:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(code)
