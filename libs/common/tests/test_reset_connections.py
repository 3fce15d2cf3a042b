"""A connection that is reset as soon as it is made: by a process that is dying, or a balancer with nobody behind."""

import asyncio
import socket
import struct
import threading

import httpx
import uvloop

from common.http import open_http_client

AT_ONCE = 50
ROUNDS = 20


def _reset_all(listener: socket.socket) -> None:
    """Accept and reset, until the listener is closed."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()


async def _ask(port: int) -> list[object]:
    outcomes: list[object] = []
    async with open_http_client(f"http://127.0.0.1:{port}", timeout_seconds=5.0) as client:
        for _ in range(ROUNDS):
            asked = (client.post("/", json={}) for _ in range(AT_ONCE))
            outcomes += await asyncio.gather(*asked, return_exceptions=True)
    return outcomes


def test_nothing_but_transport_errors_comes_of_it() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=AT_ONCE)
    resetting = threading.Thread(target=_reset_all, args=(listener,))
    resetting.start()
    # Under uvloop, as services run: there such a connection may have no socket any more when it is looked at.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        outcomes = runner.run(_ask(listener.getsockname()[1]))
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    resetting.join()

    assert len(outcomes) == ROUNDS * AT_ONCE
    assert {repr(outcome) for outcome in outcomes if not isinstance(outcome, httpx.TransportError)} == set()
