"""Structured log lines, one JSON object each, with the request id."""

import logging
import queue
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from logging.handlers import QueueHandler, QueueListener
from typing import Any, TextIO

import structlog

from common.request_id import bound_request_id

MAX_WAITING_LINES = 10_000
"""Lines that may wait for a slow stdout; further ones are dropped, with a word on stderr."""

_configured_service = "pixelmint"
_waiting: queue.Queue[logging.LogRecord] | None = None
"""Lines on their way to the thread that writes them, while there is one."""


def _add_context(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event["service"] = _configured_service
    if (request_id := bound_request_id()) is not None:
        event.setdefault("request_id", request_id)
    return event


def configure_logging(service_name: str, level: str = "INFO", *, stream: TextIO | None = None) -> None:
    """Send every log line, ours and the libraries', to ``stream`` (stdout without one) as JSON.

    Within ``writing_in_background()`` a thread writes them.
    """
    global _configured_service
    _configured_service = service_name
    shared: list[structlog.types.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_context,
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        # What the level drops is dropped before anything is made of it.
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler: logging.Handler = (
        QueueHandler(_waiting) if _waiting is not None else logging.StreamHandler(stream or sys.stdout)
    )
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # These speak of every request and every heartbeat, and httpx would write query strings into the log.
    for noisy in ("httpx", "httpcore", "pymongo", "botocore", "aiobotocore", "asyncio", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


@contextmanager
def writing_in_background() -> Iterator[None]:
    """Let a thread write the lines: a slow pipe, or the wait for the interpreter after each, stops no request.

    Lines are made where they are logged, so they carry their request's id; at the end all are written.
    """
    global _waiting
    _waiting = queue.Queue(MAX_WAITING_LINES)
    writer = QueueListener(_waiting, logging.StreamHandler(sys.stdout))
    writer.start()
    try:
        yield
    finally:
        _waiting = None
        writer.stop()


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of a module; fields are keyword arguments, never tokens, prompts or e-mails."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
