"""Which paths exist from outside, where they lead, and who may walk them."""

import re
from dataclasses import dataclass

from common.errors import MethodNotAllowedError, NotFoundError

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_READING = frozenset({"GET", "HEAD", "OPTIONS"})

# No escape, empty segment, dot segment, ``;`` or backslash is part of any address we have, so none gets in: what the
# gateway matches is then letter for letter what every service sees, whatever it decodes or normalises.
_PLAIN_PATH = re.compile(rb"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~!$&'()*+,=:@-]+)+")


@dataclass(frozen=True, slots=True)
class Route:
    """Where a path leads."""

    upstream: str
    public: bool = False
    """Open without a token of ours; the service may still ask for proof of its own (webhooks do)."""

    slow: bool = False
    """Drawing pictures takes its time: the generation timeout counts, not the ordinary one."""

    methods: frozenset[str] = METHODS

    following: frozenset[str] = frozenset()
    """Methods by which clients follow what happens (streams of events, long polls), for as long as it takes."""


_SERVICES = {f"/api/{name}/".encode(): Route(name) for name in ("auth", "user", "coin", "image", "subscription")}

_EXACT = {
    **{
        path: Route("auth", public=True)
        for path in (
            b"/api/auth/register",
            b"/api/auth/login",
            b"/api/auth/google",
            b"/api/auth/refresh",
            b"/api/auth/password/forgot",
            b"/api/auth/password/reset",
            b"/api/auth/email/verify",
            b"/api/auth/.well-known/jwks.json",
        )
    },
    b"/api/coin/rewards/admob": Route("coin", public=True),
    b"/api/image/generate": Route("image", slow=True),
}

_PREFIXES = (
    (b"/api/coin/webhooks/", Route("coin", public=True)),
    (b"/api/subscription/webhooks/", Route("subscription", public=True)),
    (b"/api/image/generations/", Route("image", slow=True, following=frozenset({"GET"}))),
    (b"/uploads/", Route("image", public=True, methods=_READING)),
)

SERVICES = tuple(route.upstream for route in _SERVICES.values())


def find_route(method: str, raw_path: bytes) -> Route:
    """Return where a request goes; everything that is not in the tables above does not exist.

    Raises:
        NotFoundError: No such path, or one spelled in a way that two readers could read differently.
        MethodNotAllowedError: A method that no route has (TRACE, CONNECT, PROPFIND ...).
    """
    if not _PLAIN_PATH.fullmatch(raw_path):
        raise NotFoundError
    route = _EXACT.get(raw_path) or _by_prefix(raw_path)
    if route is None:
        raise NotFoundError
    if method not in route.methods:
        raise MethodNotAllowedError(headers={"Allow": ", ".join(sorted(route.methods))})
    return route


def route_name(raw_path: bytes) -> str:
    """Return the part of an address that stands in our tables, for the log; a stranger's words are not in it."""
    if raw_path in _EXACT:
        return raw_path.decode()
    listed = (*(prefix for prefix, _ in _PREFIXES), *_SERVICES)
    return next((prefix.decode() for prefix in listed if raw_path.startswith(prefix)), "unmatched")


def _by_prefix(raw_path: bytes) -> Route | None:
    for prefix, route in _PREFIXES:
        if raw_path.startswith(prefix):
            return route
    return _SERVICES.get(raw_path[: raw_path.find(b"/", 5) + 1])
