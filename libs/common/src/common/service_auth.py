"""Sign and check the short-lived tokens with which services call each other."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from uuid import uuid4

from fastapi import Request
from pydantic import SecretStr

from common.errors import ExpiredTokenError, ForbiddenError, InvalidTokenError
from common.tokens import ISSUER, Bearer, bearer_token, decode, encode

SERVICE_TOKEN_TTL_SECONDS = 30
SERVICE_TOKEN_MAX_TTL_SECONDS = 60
SERVICE_TOKEN_REUSE_SECONDS = 10
"""So long a caller sends the token that it signed for one operation again; 19 s of its life are left then."""

SERVICE_LEEWAY_SECONDS = 5

REMEMBERED_TOKENS = 256
"""So many a process remembers as verified: callers times operations times a few signatures each."""


class ServiceTokenSigner:
    """Signs the tokens of one service's calls to others."""

    def __init__(self, secret: SecretStr, *, caller: str, now: Callable[[], float] = time.time) -> None:
        self._secret = secret
        self._caller = caller
        self._now = now
        # By audience and scope; both are written in the code, so there are a few.
        self._signed: dict[tuple[str, str], tuple[float, str]] = {}

    def sign(self, *, audience: str, scope: str) -> str:
        """Return a token for one operation (``scope``) of one service (``audience``), good for 19 s to 30 s."""
        now = self._now()
        signed_at, token = self._signed.get((audience, scope), (-math.inf, ""))
        # A clock set back would make the old token one of the future.
        if not 0 <= now - signed_at < SERVICE_TOKEN_REUSE_SECONDS:
            token = self._sign(audience, scope, int(now))
            self._signed[audience, scope] = now, token
        return token

    def _sign(self, audience: str, scope: str, now: int) -> str:
        claims = {
            "sub": self._caller,
            "iss": ISSUER,
            "aud": audience,
            "scope": scope,
            "iat": now,
            "exp": now + SERVICE_TOKEN_TTL_SECONDS,
            "jti": uuid4().hex,
        }
        return encode(claims, self._secret)


@dataclass(frozen=True, slots=True)
class _ServiceGrant:
    """What a service token says."""

    caller: str
    scope: str | None
    expires_at: float


class ServiceTokenVerifier:
    """Checks the tokens of the services that call this one."""

    def __init__(self, secret: SecretStr, *, audience: str, now: Callable[[], float] = time.time) -> None:
        self._secret = secret
        self._audience = audience
        self._now = now
        self._read = lru_cache(REMEMBERED_TOKENS)(self._verify)  # what is refused is not remembered

    def verify(self, token: str, *, scope: str) -> str:
        """Return the caller's name.

        Raises:
            InvalidTokenError: Not a service token for this service, or one that lives longer than 60 s.
            ForbiddenError: A good token for another operation.
        """
        grant = self._read(token)
        if grant.expires_at <= self._now() - SERVICE_LEEWAY_SECONDS:
            raise ExpiredTokenError
        if grant.scope != scope:
            raise ForbiddenError
        return grant.caller

    def _verify(self, token: str) -> _ServiceGrant:
        claims = decode(token, self._secret, audience=self._audience, leeway=SERVICE_LEEWAY_SECONDS)
        if not 0 < claims["exp"] - claims["iat"] <= SERVICE_TOKEN_MAX_TTL_SECONDS:
            raise InvalidTokenError
        return _ServiceGrant(str(claims["sub"]), claims.get("scope"), claims["exp"])


class _ServiceBearer(Bearer):
    def __init__(self, scope: str) -> None:
        super().__init__()
        self._scope = scope

    async def __call__(self, request: Request) -> str:
        verifier: ServiceTokenVerifier = request.app.state.service_token_verifier
        return verifier.verify(bearer_token(request.headers), scope=self._scope)


def require_scope(scope: str) -> _ServiceBearer:
    """Let only services in whose token names ``scope``; yields the caller's name."""
    return _ServiceBearer(scope)
