"""The id of the request being served, and its W3C trace; both travel to every service it touches."""

import random
import re
from contextvars import ContextVar

REQUEST_ID_HEADER = "X-Request-Id"
TRACEPARENT_HEADER = "traceparent"

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})")

_request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
_trace: ContextVar[tuple[str, str] | None] = ContextVar("trace", default=None)


def _random_hex(bits: int) -> str:
    # An id has to be unique, not secret, and asking the kernel three times a request is what the gateway would notice.
    return f"{random.getrandbits(bits) or 1:0{bits // 4}x}"


def valid_request_id(candidate: str | None) -> str:
    """Take over the caller's id if it is one, else make one."""
    if candidate is not None and _REQUEST_ID.fullmatch(candidate):
        return candidate
    return _random_hex(128)


def bind_request(request_id: str | None, traceparent: str | None) -> str:
    """Make these the id and the trace of what runs from here on; returns the id in use."""
    bound = valid_request_id(request_id)
    _request_id.set(bound)
    match = _TRACEPARENT.fullmatch(traceparent or "")
    _trace.set((match[1], match[2]) if match else (_random_hex(128), "00"))
    return bound


def bound_request_id() -> str | None:
    """Return the id of the request being served, if this is work for one."""
    return _request_id.get()


def current_request_id() -> str:
    """Return the id of the request being served; work outside any request gets one of its own."""
    bound = _request_id.get()
    return bound if bound is not None else bind_request(None, None)


def next_traceparent() -> str:
    """Return the ``traceparent`` for a call that this request makes: same trace, new parent (W3C Trace Context)."""
    trace = _trace.get()
    if trace is None:
        bind_request(_request_id.get(), None)
        trace = _trace.get()
    trace_id, flags = trace if trace is not None else (_random_hex(128), "00")
    return f"00-{trace_id}-{_random_hex(64)}-{flags}"
