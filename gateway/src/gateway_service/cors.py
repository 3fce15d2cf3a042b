"""Which web pages may call us: a list, never the caller's own word (Fetch standard, CORS protocol)."""

import re
from collections.abc import Sequence

Header = tuple[bytes, bytes]

_ALLOWED_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
_ALLOWED_HEADERS = b"Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Prefer, X-Request-Id, traceparent"
_EXPOSED_HEADERS = (
    b"X-Request-Id, Idempotent-Replayed, Location, Preference-Applied, Retry-After, "
    b"RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset"
)
_PREFLIGHT_SECONDS = b"600"
_VARY: Header = (b"vary", b"Origin")


class CorsPolicy:
    """Answers for a list of origins.

    Sessions travel in ``Authorization``, never in cookies, so credentials are allowed to nobody and ``*`` is harmless.

    Args:
        origins: Exact origins (``https://app.example``), ``scheme://host:*`` for every port of a host, or ``*``.
    """

    def __init__(self, origins: Sequence[str]) -> None:
        self._any = "*" in origins
        self._exact = frozenset(origin.encode() for origin in origins if not origin.endswith("*"))
        hosts = [re.escape(origin[:-2].encode()) for origin in origins if origin.endswith(":*")]
        self._any_port = re.compile(rb"(?:%s)(?::[0-9]{1,5})?" % b"|".join(hosts)) if hosts else None

    def headers(self, origin: bytes | None) -> list[Header]:
        """Return what every answer to a request of this ``Origin`` carries, errors included."""
        if self._any:
            return [] if origin is None else [self._allow(b"*"), (b"access-control-expose-headers", _EXPOSED_HEADERS)]
        if origin is None or not self._knows(origin):
            return [_VARY]
        return [self._allow(origin), (b"access-control-expose-headers", _EXPOSED_HEADERS), _VARY]

    def preflight(self, origin: bytes) -> list[Header]:
        """Return the headers of the answer to a preflight; without ``Allow`` headers a browser goes no further."""
        if not self._any and not self._knows(origin):
            return [_VARY]
        return [
            *self.headers(origin),
            (b"access-control-allow-methods", _ALLOWED_METHODS),
            (b"access-control-allow-headers", _ALLOWED_HEADERS),
            (b"access-control-max-age", _PREFLIGHT_SECONDS),
        ]

    def _knows(self, origin: bytes) -> bool:
        return origin in self._exact or (self._any_port is not None and self._any_port.fullmatch(origin) is not None)

    @staticmethod
    def _allow(origin: bytes) -> Header:
        return (b"access-control-allow-origin", origin)
