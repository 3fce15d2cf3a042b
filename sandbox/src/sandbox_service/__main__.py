"""``python -m sandbox_service``."""

import os
import sys

import uvicorn
from pydantic import ValidationError

from common.logging import configure_logging
from sandbox_service.settings import Settings

GRACEFUL_SHUTDOWN_SECONDS = 2
"""Calls that a fault makes hang must not hold the end up."""


def main() -> int:
    try:
        settings = Settings()
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False, include_context=False):
            variable = ".".join(str(part) for part in problem["loc"]).upper()
            text = problem["msg"].removeprefix("Value error, ")
            sys.stderr.write(f"cannot start: {variable}: {text}\n" if variable else f"cannot start: {text}\n")
        return 78  # EX_CONFIG of sysexits.h
    # NumPy's linear algebra would start a thread and a buffer for each core, and multiplies nothing larger than 3x3.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    configure_logging("sandbox", settings.log_level)
    uvicorn.run(
        "sandbox_service.main:create_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_SECONDS,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
