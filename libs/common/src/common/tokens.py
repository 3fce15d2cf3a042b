"""What users' tokens and service tokens have in common: signed, read strictly, carried as bearer tokens."""

from typing import Any

import jwt
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from pydantic import SecretStr
from starlette.datastructures import Headers

from common.errors import ExpiredTokenError, InvalidTokenError, MissingTokenError

ISSUER = "pixelmint"
ALGORITHM = "HS256"
"""Fixed here and never taken from a token: that is what keeps ``none`` and key confusion out."""

MAX_TOKEN_CHARACTERS = 4096


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


def encode(claims: dict[str, Any], secret: SecretStr) -> str:
    return jwt.encode(claims, secret.get_secret_value(), algorithm=ALGORITHM)


def decode(token: str, secret: SecretStr, *, audience: str, leeway: int) -> dict[str, Any]:
    """Return the claims of a token of ours that is good now; ``leeway`` in seconds.

    Raises:
        ExpiredTokenError: It was good once.
        InvalidTokenError: It is malformed, forged, or was made for another audience.
    """
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


class Bearer(SecurityBase):
    """Says in the OpenAPI schema that a bearer token is wanted; a subclass checks it.

    Scheme and check are one dependency because FastAPI pays for each one at every request.
    """

    def __init__(self) -> None:
        self.model = HTTPBearer(bearerFormat="JWT", description="The `token` of register or login.")
        self.scheme_name = "HTTPBearer"
