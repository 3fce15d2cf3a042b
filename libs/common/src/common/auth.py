"""Sign and check the users' access tokens."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated
from uuid import uuid4

from fastapi import Depends, Request
from pydantic import SecretStr

from common.errors import ExpiredTokenError, InvalidTokenError
from common.schemas import is_object_id
from common.tokens import ISSUER, Bearer, bearer_token, decode, encode

USER_AUDIENCE = "pixelmint-api"
LEEWAY_SECONDS = 30

REMEMBERED_TOKENS = 4096
"""So many users' tokens a process remembers as verified: a phone sends the same one with every request."""


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
        return encode(claims, self._secret)


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
        claims = decode(token, self._secret, audience=USER_AUDIENCE, leeway=LEEWAY_SECONDS)
        subject, email, session_id = claims["sub"], claims.get("email"), claims.get("sid")
        if not is_object_id(subject) or not isinstance(email, str) or not isinstance(session_id, str):
            raise InvalidTokenError
        return CurrentUser(subject, email, session_id, int(claims["exp"]))


class _UserBearer(Bearer):
    async def __call__(self, request: Request) -> CurrentUser:
        verifier: TokenVerifier = request.app.state.token_verifier
        return verifier.verify(bearer_token(request.headers))


CurrentUserDep = Annotated[CurrentUser, Depends(_UserBearer())]
"""The user of a request; the gateway's word is never taken for it."""
