"""Run one process of the mesh under uvicorn."""

import gc
import signal
import sys
from typing import Any

import uvicorn

from common.logging import configure_logging, writing_in_background
from common.settings import CommonSettings

KEEP_ALIVE_SECONDS = 75
"""Longer than callers keep an idle connection, so that it is they who close it and no request meets a closed one."""

GRACEFUL_SHUTDOWN_SECONDS = 25

GC_THRESHOLD = 20_000
"""Objects from one search of the youngest for garbage to the next; with Python's 700 each request pays for several."""


def serve(factory: str, settings: CommonSettings, **overrides: Any) -> None:
    """Serve ``factory`` (``module:function``) until SIGTERM or SIGINT; requests under way are finished first.

    Args:
        factory: Builds the application; it reads the environment itself, so that a reload sees changes.
        settings: Where to listen.
        overrides: Further arguments of ``uvicorn.run``.
    """
    # uvicorn sends itself the signal again once it has stopped, and dying of it would take the last lines along.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    arguments: dict[str, Any] = {
        "factory": True,
        "host": settings.host,
        "port": settings.port,
        "reload": settings.reload,
        "loop": "uvloop",
        # uvicorn's h11 has answered twice to a request framed in two ways; httptools refuses it.
        "http": "httptools",
        "ws": "none",
        "lifespan": "on",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "timeout_keep_alive": KEEP_ALIVE_SECONDS,
        "timeout_graceful_shutdown": GRACEFUL_SHUTDOWN_SECONDS,
    }
    gc.set_threshold(GC_THRESHOLD, *gc.get_threshold()[1:])
    with writing_in_background():
        configure_logging(settings.service_name, settings.log_level)
        uvicorn.run(factory, **(arguments | overrides))
