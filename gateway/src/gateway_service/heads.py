"""The heads of messages: what of them goes on to the other side, and what does not."""

import re
from collections.abc import Iterable
from functools import lru_cache

from starlette.types import Scope

from common.request_id import bind_request, next_traceparent
from gateway_service.client_address import TrustedProxies

Header = tuple[bytes, bytes]

# Hop-by-hop: RFC 9110, section 7.6.1.
_HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-connection proxy-authenticate proxy-authorization te trailer transfer-encoding "
    b"upgrade http2-settings".split()
)
_NOTED = frozenset(
    b"authorization connection content-length transfer-encoding expect host origin access-control-request-method "
    b"x-request-id traceparent tracestate x-forwarded-for x-forwarded-proto x-forwarded-host".split()
)
_NOT_FORWARDED = _HOP_BY_HOP | frozenset(
    # Framing, address and identity of the request are said anew; nobody may say them for us, or bend path and method.
    b"host content-length expect x-request-id traceparent tracestate forwarded x-real-ip true-client-ip "
    b"x-original-url x-rewrite-url x-http-method x-http-method-override x-method-override".split()
)
_NOT_FORWARDED_PREFIXES = (b"x-user", b"x-forwarded", b"x-service", b"x-internal", b"x-auth", b"x-client-ip")

_ANSWER_DROPPED = _HOP_BY_HOP | frozenset(
    # Said by the gateway for itself and every service alike.
    b"server date x-request-id x-content-type-options x-powered-by".split()
)
_NAMED_HARMLESS = frozenset((b"", b"close", b"keep-alive"))
_FORWARDED_HOST = re.compile(rb"[A-Za-z0-9.\-:\[\]]{1,255}")


@lru_cache(maxsize=1024)
def _goes_on(name: bytes) -> bool:
    # To many servers ``x_user_id`` is the same header as ``x-user-id``, so no name with ``_`` goes on.
    return name not in _NOT_FORWARDED and not name.startswith(_NOT_FORWARDED_PREFIXES) and b"_" not in name


class RequestHead:
    """What the gateway has to know of a request, read in one pass over its headers."""

    def __init__(self, scope: Scope) -> None:
        raw_path, query = scope["raw_path"], scope["query_string"]
        self.method: str = scope["method"]
        self.target: bytes = raw_path + b"?" + query if query else raw_path
        self.authorizations: list[bytes] = []
        self._forwarded: list[bytes] = []
        self._lines: list[bytes] = []
        self._noted: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            if name in _NOTED:
                self._note(name, value)
            if _goes_on(name):
                self._lines.append(name + b": " + value + b"\r\n")
        self.length = int(self._noted.get(b"content-length", b"0"))
        self.chunked = b"transfer-encoding" in self._noted
        self._drop_named_in_connection()
        self.request_id = bind_request(self.text(b"x-request-id"), self.text(b"traceparent"))

    def get(self, name: bytes) -> bytes | None:
        return self._noted.get(name)

    def text(self, name: bytes) -> str | None:
        value = self._noted.get(name)
        return None if value is None else value.decode("latin-1")

    def render(self, scope: Scope, authority: bytes, proxies: TrustedProxies, framing: bytes) -> bytes:
        """Build the head for the service.

        Args:
            scope: Of the request.
            authority: The service's own ``Host``: what clients send there must not reach any routing behind us.
            proxies: Whose ``X-Forwarded-*`` are passed on.
            framing: The line that says how long the body is, or nothing.
        """
        peer = scope["client"][0] if scope["client"] else "127.0.0.1"
        proto, host = scope["scheme"].encode(), self._noted.get(b"host", b"")
        if proxies.trusts(peer):
            peer = proxies.client_of(peer, self._forwarded)
            if self._noted.get(b"x-forwarded-proto") in (b"http", b"https"):
                proto = self._noted[b"x-forwarded-proto"]
            host = self._noted.get(b"x-forwarded-host", host)
        if not _FORWARDED_HOST.fullmatch(host):
            host = authority
        traceparent = next_traceparent().encode()
        lines = [
            b"%b %b HTTP/1.1\r\nhost: %b\r\n" % (self.method.encode(), self.target, authority),
            *self._lines,
            framing,
            b"x-request-id: %b\r\ntraceparent: %b\r\n" % (self.request_id.encode(), traceparent),
            b"x-forwarded-for: %b\r\nx-forwarded-proto: %b\r\nx-forwarded-host: %b\r\n" % (peer.encode(), proto, host),
        ]
        if b"tracestate" in self._noted and traceparent[3:35] == self._noted.get(b"traceparent", b"")[3:35]:
            lines.append(b"tracestate: " + self._noted[b"tracestate"] + b"\r\n")
        lines.append(b"\r\n")
        return b"".join(lines)

    def _note(self, name: bytes, value: bytes) -> None:
        if name == b"authorization":
            self.authorizations.append(value)
        elif name == b"x-forwarded-for":
            self._forwarded.append(value)
        elif name in self._noted:
            # Said twice: a list where lists are allowed; for the rest no longer a valid value, as it should be.
            self._noted[name] += b", " + value
        else:
            self._noted[name] = value

    def _drop_named_in_connection(self) -> None:
        connection = self._noted.get(b"connection")
        if connection is None:
            return
        named = {token.strip().lower() for token in connection.split(b",")} - _NAMED_HARMLESS
        if named:
            self._lines = [line for line in self._lines if line.partition(b":")[0] not in named]


def answer_headers(headers: Iterable[Header], *, status: int, private: bool) -> list[Header]:
    """Build the headers of a service's answer as the client gets them.

    Args:
        headers: What the service said, names in lower case.
        status: Of the answer; 204 and 304 have no body, so no length is said (uvicorn would wait for it).
        private: Not to be kept by any cache unless the service says otherwise.
    """
    kept = []
    named: set[bytes] = set()
    for name, value in headers:
        if name in _ANSWER_DROPPED:
            if name == b"connection":
                named |= {token.strip().lower() for token in value.split(b",")} - _NAMED_HARMLESS
            continue
        if name.startswith(b"access-control-") or (name == b"content-length" and status in (204, 304)):
            continue
        if name == b"cache-control":
            private = False
        kept.append((name, value))
    if named:
        kept = [header for header in kept if header[0] not in named]
    if private:
        kept.append((b"cache-control", b"no-store"))
    return kept
