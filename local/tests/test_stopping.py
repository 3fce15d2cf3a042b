import os
import pty
import signal
import subprocess
import sys

import pytest

from local_mesh.stopping import StopRequestedError, StopSignals

KEEP_UNTIL_TERMINAL_CLOSES = """
from local_mesh.stopping import StopRequestedError, StopSignals
try:
    with StopSignals() as signals:
        print("ready", flush=True)
        signals.wait(lambda: True)
except StopRequestedError:
    raise SystemExit(7)
"""


def stop_twice_at_once() -> bool:
    """Send two signals that arrive together; return whether what follows them was gone through."""
    both = (signal.SIGINT, signal.SIGTERM)
    steps = 0
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, both)
        for number in both:
            signal.raise_signal(number)  # for this thread: no other can take it before its time
        signal.pthread_sigmask(signal.SIG_UNBLOCK, both)
    except StopRequestedError:
        for _ in range(100_000):  # long enough for a signal that waits to come through
            steps += 1
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, both)
    return steps == 100_000


def test_two_signals_at_once_do_not_interrupt_the_stopping() -> None:
    with StopSignals():
        stopped = stop_twice_at_once()

    assert stopped


def test_signals_mean_what_they_did_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM)

    with pytest.raises(StopRequestedError), StopSignals():
        os.kill(os.getpid(), signal.SIGTERM)

    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.skipif(sys.platform != "linux", reason="not every system can wait for the end of a terminal")
def test_closed_terminal_ends_the_run_though_no_signal_comes() -> None:
    terminal, ours = pty.openpty()
    run = subprocess.Popen([sys.executable, "-c", KEEP_UNTIL_TERMINAL_CLOSES], stdin=ours, stdout=subprocess.PIPE)
    os.close(ours)
    try:
        assert run.stdout is not None
        assert run.stdout.readline() == b"ready\n"

        os.close(terminal)

        assert run.wait(20) == 7
    finally:
        run.kill()
        run.communicate()
