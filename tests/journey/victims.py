"""Processes of the image service that are made to be killed: forked from one that has everything imported already.

What runs in them is ``python -m image_service`` with an environment of its own; only the seconds of a Python that
starts are saved, of which a killing at every step would take many.
"""

import multiprocessing
import os
import socket
import sys
import time
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path

START_SECONDS = 60.0

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["image_service.main", "uvicorn", "uvloop", "httptools"])


def _become_image(environment: Mapping[str, str], log: Path) -> None:
    """Be a process of the image service from here on."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    os.environ.clear()
    os.environ.update(environment)

    from common.server import serve
    from common.settings import load_settings
    from image_service.settings import Settings

    sys.argv = ["image_service"]
    serve("image_service.main:create_app", load_settings(Settings))


class Victim:
    """One process of the image service, for the time until it is killed."""

    def __init__(self, environment: Mapping[str, str], port: int, log: Path) -> None:
        self.port = port
        self._log = log
        self._process: BaseProcess = _forks.Process(
            target=_become_image, args=({**environment, "PORT": str(port)}, log), daemon=True
        )
        self._process.start()

    def wait_until_it_listens(self) -> None:
        """Wait for its port.

        Raises:
            AssertionError: It does not come; the message ends with its log.
        """
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.is_alive():
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1.0).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise AssertionError(f"image does not start: {self._log.read_text(errors='replace')[-3000:]}")

    def kill(self) -> None:
        """End it at once, as a crash would; it is gone when this returns."""
        self._process.kill()
        self._process.join()
