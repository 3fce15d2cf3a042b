"""What is checked before anything starts."""

import socket
from collections.abc import Iterable

from local_mesh.problems import StartError
from local_mesh.processes import Ports, Process


def check_ports(processes: Iterable[Process], ports: Ports) -> None:
    """Make sure that nobody listens where the processes will.

    Raises:
        StartError: Somebody does.
    """
    taken = [f"{ports.of(process)} ({process.name})" for process in processes if _in_use(ports.of(process))]
    if taken:
        subject = f"port {taken[0]} is" if len(taken) == 1 else f"ports {', '.join(taken)} are"
        raise StartError(
            f"{subject} in use: free it, or move everything elsewhere: PORT_BASE={ports.base + 1000} make run"
        )


def _in_use(port: int) -> bool:
    # Connecting finds a listener on another of localhost's addresses too, such as macOS's AirPlay on port 5000.
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as client:
                client.settimeout(1.0)
                if client.connect_ex((address, port)) == 0:
                    return True
        except OSError:  # a machine without IPv6
            continue
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False
