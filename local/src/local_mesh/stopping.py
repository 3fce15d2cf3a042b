"""How a run is told to stop: by Ctrl-C, by SIGTERM, or by the end of its terminal."""

import select
import signal
import sys
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

LOOK_EVERY_MILLISECONDS = 500


class StopRequestedError(BaseException):
    """Ctrl-C, SIGTERM, or the terminal was closed; not an error to be caught on the way."""


class StopSignals:
    """While entered, turns SIGINT, SIGTERM and SIGHUP into one ``StopRequestedError``; under nohup SIGHUP is ignored.

    Only the first counts. Two may come at once, as when make is killed, and the second must not interrupt the stopping.
    """

    def __init__(self) -> None:
        self._deaf = False
        self._before: dict[signal.Signals, signal._HANDLER] = {}
        self._terminal = select.poll()

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._stop)
        # Asked now: once it is closed, a terminal is none any more.
        if sys.stdin is not None and sys.stdin.isatty():
            self._terminal.register(sys.stdin, 0)  # 0: no input is waited for, only its end
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        if not self._deaf:
            self._deaf = True
            raise StopRequestedError

    def ignore(self) -> None:
        """From here on everything is being stopped already, in bounded time."""
        self._deaf = True

    def wait(self, is_running: Callable[[], bool]) -> None:
        """Return when ``is_running`` says no.

        Raises:
            StopRequestedError: By a signal, or because the terminal was closed. Of that, SIGHUP tells only the
                terminal's own process, which may be make, and make waits for us.
        """
        while is_running():
            for _, event in self._terminal.poll(LOOK_EVERY_MILLISECONDS):
                if event & select.POLLHUP:
                    raise StopRequestedError
                self._terminal.unregister(sys.stdin)  # a system that cannot poll terminals
