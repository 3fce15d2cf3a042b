"""What a log line holds, and that none is lost on its way through the writing thread."""

import json
import logging
import subprocess
import sys
from contextvars import copy_context

import pytest

from common.logging import configure_logging, get_logger, writing_in_background
from common.request_id import bind_request


def lines_of(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("in_background", [False, True])
def test_lines_carry_their_request_and_come_in_order(capsys: pytest.CaptureFixture[str], in_background: bool) -> None:
    def request(number: int) -> None:
        bind_request(f"request-{number}", None)
        get_logger("test").info("first", number=number)
        logging.getLogger("library").warning("second %s", number)

    def work() -> None:
        configure_logging("coin")
        get_logger("test").info("before")
        for number in range(200):
            copy_context().run(request, number)

    if in_background:
        with writing_in_background():
            work()
    else:
        work()

    before, *lines = lines_of(capsys.readouterr().out)
    assert (before["event"], before["service"], before["level"]) == ("before", "coin", "info")
    assert "request_id" not in before
    assert [line["request_id"] for line in lines] == [f"request-{number}" for number in range(200) for _ in range(2)]
    assert [line["event"] for line in lines[:2]] == ["first", "second 0"]
    configure_logging("test")


def test_level_holds_for_our_lines_and_the_libraries(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("coin", "WARNING")
    for logger in (get_logger("test.level"), logging.getLogger("library")):
        logger.info("dropped")
        logger.warning("kept")
    assert [line["event"] for line in lines_of(capsys.readouterr().out)] == ["kept", "kept"]
    configure_logging("test")


SERVED = """
import os, signal
from common.logging import get_logger
from common.server import serve
from common.settings import CommonSettings

class Settings(CommonSettings):
    service_name: str = "coin"

def create_app():
    async def app(scope, receive, send):
        assert scope["type"] == "lifespan"
        await receive()
        await send({"type": "lifespan.startup.complete"})
        os.kill(os.getpid(), signal.SIGTERM)
        await receive()
        get_logger("test").info("the last line")
        await send({"type": "lifespan.shutdown.complete"})
    return app

if __name__ == "__main__":
    serve("__main__:create_app", Settings(port=0, jwt_secret="x" * 32))
"""


def test_a_served_process_that_is_stopped_writes_its_last_lines() -> None:
    done = subprocess.run([sys.executable, "-c", SERVED], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "the last line" in [line["event"] for line in lines_of(done.stdout)]
