"""``POST /token``: a service account's signed assertion for an access token (RFC 7523)."""

import time
from typing import Any
from urllib.parse import parse_qs

import jwt
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox_service.google.keys import SCOPE, TOKEN_TTL_SECONDS, Account
from sandbox_service.vendor import VendorError, VendorRoute, sandbox_of

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
GOOGLE_TOKEN_URI = "https://oauth2.googleapis.com/token"
"""google-auth names it as audience whatever ``token_uri`` is."""

MAX_LIFETIME_SECONDS = 3600
LEEWAY_SECONDS = 60

_CODES = {
    400: "invalid_request",
    401: "invalid_client",
    403: "access_denied",
    429: "rate_limit_exceeded",
    503: "temporarily_unavailable",
}


def bare_error(status: int) -> Response:
    """The body that belongs to a status."""
    code = _CODES.get(status, "internal_failure" if status >= 500 else "invalid_request")
    return _error(code, "The sandbox was told to fail here.", status)


class OAuthError(VendorError):
    """RFC 6749, section 5.2."""

    def __init__(self, code: str, description: str, status: int = 400) -> None:
        super().__init__(_error(code, description, status))


async def token(request: Request) -> Response:
    form = parse_qs((await request.body()).decode("utf-8", "replace"))
    grant_type = form.get("grant_type", [""])[0]
    if not grant_type:
        raise OAuthError("invalid_request", "Required parameter is missing: grant_type")
    if grant_type != GRANT_TYPE:
        raise OAuthError("unsupported_grant_type", f"Invalid grant_type: {grant_type}")
    assertion = form.get("assertion", [""])[0]
    if not assertion:
        raise OAuthError("invalid_request", "Required parameter is missing: assertion")
    keys = sandbox_of(request).service_account
    account = keys.find()
    if account is None:
        raise OAuthError("invalid_grant", "Invalid grant: account not found")
    _check(assertion, account, keys.token_uri)
    return JSONResponse(
        {"access_token": keys.issue(account), "expires_in": TOKEN_TTL_SECONDS, "token_type": "Bearer"},
        headers={"Cache-Control": "no-store"},
    )


def _check(assertion: str, account: Account, token_uri: str) -> None:
    try:
        if jwt.get_unverified_header(assertion).get("kid") not in {None, account.key_id}:
            raise OAuthError("invalid_grant", "Invalid JWT Signature.")
        claims: dict[str, Any] = jwt.decode(
            assertion,
            account.public_key,
            algorithms=["RS256"],
            audience=[GOOGLE_TOKEN_URI, token_uri],
            leeway=LEEWAY_SECONDS,
            options={"require": ["iss", "aud", "iat", "exp"]},
        )
    except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError, jwt.DecodeError) as error:
        raise OAuthError("invalid_grant", "Invalid JWT Signature.") from error
    except jwt.InvalidAudienceError as error:
        raise OAuthError("invalid_grant", "Invalid JWT: Failed audience check.") from error
    except jwt.PyJWTError as error:
        raise _timeframe() from error
    if claims["iss"] != account.email:
        raise OAuthError("invalid_grant", "Invalid grant: account not found")
    lifetime = claims["exp"] - claims["iat"]
    if lifetime > MAX_LIFETIME_SECONDS or claims["iat"] > time.time() + LEEWAY_SECONDS:
        raise _timeframe()
    scopes = str(claims.get("scope", "")).split()
    if not scopes:
        raise OAuthError("invalid_scope", "Empty or missing scope not allowed.")
    if SCOPE not in scopes:
        raise OAuthError("invalid_scope", f"Invalid OAuth scope or ID token audience provided: {' '.join(scopes)}")


def _timeframe() -> OAuthError:
    return OAuthError(
        "invalid_grant",
        "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
        "Check your iat and exp values in the JWT claim.",
    )


def _error(code: str, description: str, status: int) -> Response:
    return JSONResponse({"error": code, "error_description": description}, status_code=status)


async def certificates(request: Request) -> Response:
    """The keys of Google's OpenID tokens, by their ids."""
    content = await run_in_threadpool(sandbox_of(request).pushes.certificates)
    return JSONResponse(content, headers={"Cache-Control": "public, max-age=19800"})


routes = [
    VendorRoute("google_oauth", "token", "POST", "/token", token, bare_error),
    VendorRoute("google_oauth", "certs", "GET", "/oauth2/v1/certs", certificates, bare_error),
]
