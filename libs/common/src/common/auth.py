"""Sign and check tokens: the users' access tokens, and the short-lived ones with which services call each other."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any
from uuid import uuid4

import jwt
from fastapi import Depends, Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from pydantic import SecretStr
from starlette.datastructures import Headers

from common.errors import ExpiredTokenError, ForbiddenError, InvalidTokenError, MissingTokenError
from common.schemas import is_object_id

ISSUER = "pixelmint"
USER_AUDIENCE = "pixelmint-api"
ALGORITHM = "HS256"
"""Fixed here and never taken from a token: that is what keeps ``none`` and key confusion out."""

LEEWAY_SECONDS = 30
SERVICE_TOKEN_TTL_SECONDS = 30
SERVICE_TOKEN_MAX_TTL_SECONDS = 60
SERVICE_TOKEN_REUSE_SECONDS = 10
"""So long a caller sends the token that it signed for one operation again; 19 s of its life are left then."""

SERVICE_LEEWAY_SECONDS = 5
MAX_TOKEN_CHARACTERS = 4096

REMEMBERED_TOKENS = 4096
"""So many users' tokens a process remembers as verified: a phone sends the same one with every request."""

REMEMBERED_SERVICE_TOKENS = 256
"""The same for service tokens: callers times operations times a few signatures each."""


@dataclass(frozen=True, slots=True)
class CurrentUser:
    """The user whose token came with the request."""

    id: str
    email: str
    session_id: str
    expires_at: int
    """Seconds since 1970, from the token's ``exp``."""


class TokenIssuer:
    """Signs users' access tokens (RFC 7519)."""

    def __init__(self, secret: SecretStr, *, ttl_seconds: int) -> None:
        self._secret = secret
        self.ttl_seconds = ttl_seconds

    def issue(self, user_id: str, email: str, session_id: str) -> str:
        now = int(datetime.now(UTC).timestamp())
        claims = {
            "sub": user_id,
            "iss": ISSUER,
            "aud": USER_AUDIENCE,
            "iat": now,
            "exp": now + self.ttl_seconds,
            "jti": uuid4().hex,
            "sid": session_id,
            "email": email,
        }
        return jwt.encode(claims, self._secret.get_secret_value(), algorithm=ALGORITHM)


class TokenVerifier:
    """Checks users' access tokens."""

    def __init__(self, secret: SecretStr, *, now: Callable[[], float] = time.time) -> None:
        self._secret = secret
        self._now = now
        self._read = lru_cache(REMEMBERED_TOKENS)(self._verify)  # what is refused is not remembered

    def verify(self, token: str) -> CurrentUser:
        """Return the user a token speaks for.

        Raises:
            ExpiredTokenError: It was good once.
            InvalidTokenError: It is malformed, forged, or was made for something else.
        """
        user = self._read(token)
        if user.expires_at <= self._now() - LEEWAY_SECONDS:
            raise ExpiredTokenError
        return user

    def _verify(self, token: str) -> CurrentUser:
        claims = _decode(token, self._secret, audience=USER_AUDIENCE, leeway=LEEWAY_SECONDS)
        subject, email, session_id = claims["sub"], claims.get("email"), claims.get("sid")
        if not is_object_id(subject) or not isinstance(email, str) or not isinstance(session_id, str):
            raise InvalidTokenError
        return CurrentUser(subject, email, session_id, int(claims["exp"]))


def bearer_token(headers: Headers) -> str:
    """Return the one bearer token of a request.

    Raises:
        MissingTokenError: There is none.
        InvalidTokenError: There is more than one, or it is not a bearer token.
    """
    values = headers.getlist("authorization")
    if not values:
        raise MissingTokenError
    scheme, _, token = values[0].partition(" ")
    token = token.strip(" ")
    if len(values) > 1 or scheme.lower() != "bearer" or not token or len(token) > MAX_TOKEN_CHARACTERS:
        raise InvalidTokenError
    return token


def _decode(token: str, secret: SecretStr, *, audience: str, leeway: int) -> dict[str, Any]:
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            secret.get_secret_value(),
            algorithms=[ALGORITHM],
            audience=audience,
            issuer=ISSUER,
            leeway=leeway,
            options={"require": ["exp", "iat", "sub", "iss", "aud"], "strict_aud": True},
        )
    except jwt.ExpiredSignatureError as error:
        raise ExpiredTokenError from error
    # A header or payload of an odd shape leaves PyJWT as other errors than its own.
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise InvalidTokenError from error
    # PyJWT takes "1700000000" for a number.
    if any(isinstance(claims[name], bool) or not isinstance(claims[name], int | float) for name in ("exp", "iat")):
        raise InvalidTokenError
    return claims


class _Bearer(SecurityBase):
    """Says in the OpenAPI schema that a bearer token is wanted; a subclass checks it.

    Scheme and check are one dependency because FastAPI pays for each one at every request.
    """

    def __init__(self) -> None:
        self.model = HTTPBearer(bearerFormat="JWT", description="The `token` of register or login.")
        self.scheme_name = "HTTPBearer"


class _UserBearer(_Bearer):
    async def __call__(self, request: Request) -> CurrentUser:
        verifier: TokenVerifier = request.app.state.token_verifier
        return verifier.verify(bearer_token(request.headers))


CurrentUserDep = Annotated[CurrentUser, Depends(_UserBearer())]
"""The user of a request; the gateway's word is never taken for it."""


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
        return jwt.encode(claims, self._secret.get_secret_value(), algorithm=ALGORITHM)


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
        self._read = lru_cache(REMEMBERED_SERVICE_TOKENS)(self._verify)  # what is refused is not remembered

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
        claims = _decode(token, self._secret, audience=self._audience, leeway=SERVICE_LEEWAY_SECONDS)
        if not 0 < claims["exp"] - claims["iat"] <= SERVICE_TOKEN_MAX_TTL_SECONDS:
            raise InvalidTokenError
        return _ServiceGrant(str(claims["sub"]), claims.get("scope"), claims["exp"])


class _ServiceBearer(_Bearer):
    def __init__(self, scope: str) -> None:
        super().__init__()
        self._scope = scope

    async def __call__(self, request: Request) -> str:
        verifier: ServiceTokenVerifier = request.app.state.service_token_verifier
        return verifier.verify(bearer_token(request.headers), scope=self._scope)


def require_scope(scope: str) -> _ServiceBearer:
    """Let only services in whose token names ``scope``; yields the caller's name."""
    return _ServiceBearer(scope)
