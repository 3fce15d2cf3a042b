"""How long and how large a client's request may be."""

from dataclasses import dataclass

LIMITS_STATE = "limits"
"""Where they lie in the lifespan's state, which uvicorn hands to every connection."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one connection; beyond them the request is refused and the connection closed."""

    max_connections: int = 2000
    head_timeout_seconds: float = 10.0
    body_stall_timeout_seconds: float = 15.0
    body_timeout_seconds: float = 90.0
    write_stall_timeout_seconds: float = 60.0
    """A client that does not read its answer."""

    linger_seconds: float = 2.0
    """For the client to read a refusal before the connection is cut."""

    max_target_bytes: int = 8 * 1024
    max_head_bytes: int = 32 * 1024
    max_headers: int = 100
    max_pipelined: int = 16
    """Requests sent ahead on one connection."""

    max_discarded_bytes: int = 8 * 1024 * 1024
    """Of a body that was refused: so much is read and thrown away, so that the client comes to read the answer."""
