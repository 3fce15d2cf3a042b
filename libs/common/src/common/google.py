"""Access tokens of a Google service account, off the event loop; needs the extra ``mesh-common[google]``."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
from google.auth import exceptions
from google.auth.credentials import TokenState
from google.auth.transport import Request, Response
from google.oauth2 import service_account

from common.logging import get_logger

logger = get_logger(__name__)

# google-auth calls itself typed and annotates few of its functions.
_load: Callable[..., Any] = service_account.Credentials.from_service_account_file
_transport_error: Callable[..., Exception] = exceptions.TransportError

ANDROID_PUBLISHER_SCOPE = "https://www.googleapis.com/auth/androidpublisher"

TOKEN_WAIT_SECONDS = 6.0
"""How long a request waits for a token; the exchange itself goes on and serves the next one."""

EXCHANGE_TIMEOUT_SECONDS = 5.0
"""One try at the token address; google-auth tries three times."""


class GoogleCredentialsError(ValueError):
    """The key file cannot be used; the message names the file, never its content."""


class GoogleAuthUnavailableError(Exception):
    """There is no access token to be had just now; says nothing of the purchase that was to be looked up."""


class GoogleCredentials:
    """The tokens of one service account, kept until Google's library calls them stale.

    However many requests want a token at once, it is fetched once.
    """

    def __init__(self, credentials: Any, *, transport: httpx.BaseTransport | None = None) -> None:
        self._credentials = credentials
        self._http = httpx.Client(
            timeout=EXCHANGE_TIMEOUT_SECONDS, follow_redirects=False, trust_env=False, transport=transport
        )
        self._refreshing: asyncio.Task[None] | None = None

    @classmethod
    def from_file(
        cls, path: str | Path, scopes: Sequence[str], *, transport: httpx.BaseTransport | None = None
    ) -> "GoogleCredentials":
        """Read a service account's JSON key; its ``token_uri`` says where tokens come from.

        Raises:
            GoogleCredentialsError: There is no such file, or it is not a service account's key.
        """
        try:
            credentials = _load(str(path), scopes=list(scopes))
        except (OSError, ValueError, TypeError, AttributeError, exceptions.GoogleAuthError) as error:
            # Without a cause: its words may quote the key.
            raise GoogleCredentialsError(f"{path} is not a service account's key: {type(error).__name__}") from None
        return cls(credentials, transport=transport)

    async def access_token(self) -> str:
        """Return a token for ``Authorization: Bearer``.

        Raises:
            GoogleAuthUnavailableError: Google does not give one, or takes longer than 6 s.
        """
        if self._credentials.token_state is not TokenState.FRESH:
            try:
                await asyncio.wait_for(asyncio.shield(self._refresh()), TOKEN_WAIT_SECONDS)
            except (TimeoutError, GoogleAuthUnavailableError) as error:
                # Stale is "soon": a token that still works for some minutes outlives a short fault of Google's.
                if self._credentials.token_state is TokenState.INVALID:
                    raise GoogleAuthUnavailableError("no access token") from error
        return str(self._credentials.token)

    def forget(self, token: str) -> None:
        """Drop ``token`` after an API answered 401 to it; a newer one stays."""
        if self._credentials.token == token:
            self._credentials.token = None

    def close(self) -> None:
        """Close the connections to the token address."""
        self._http.close()

    def _refresh(self) -> "asyncio.Task[None]":
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._exchange())
            # A failure is told to those who wait; if none is left, it is no "exception never retrieved".
            self._refreshing.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._refreshing

    async def _exchange(self) -> None:
        try:
            await asyncio.to_thread(self._credentials.refresh, _HttpxRequest(self._http))
        except (exceptions.GoogleAuthError, httpx.HTTPError, ValueError, TypeError, KeyError, AttributeError) as error:
            # ``RefreshError`` of an ``invalid_grant`` is ours to mend: a revoked key, a clock that is wrong.
            logger.error("google gave no access token", error=type(error).__name__, reason=_reason(error))
            raise GoogleAuthUnavailableError("the exchange failed") from error
        if not isinstance(self._credentials.token, str) or not self._credentials.token.isascii():
            self._credentials.token = None
            raise GoogleAuthUnavailableError("the answer holds no token")


def _reason(error: Exception) -> str | None:
    """The ``error`` word of RFC 6749, section 5.2, where Google gave one."""
    body = error.args[1] if len(error.args) > 1 else None
    word = body.get("error") if isinstance(body, Mapping) else None
    return word[:100] if isinstance(word, str) else None


class _HttpxRequest(Request):
    """google-auth's transport on httpx, so that one HTTP library serves the whole process."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: Any,
    ) -> "_HttpxResponse":
        try:
            response = self._http.request(
                method, url, content=body, headers=headers, timeout=timeout or EXCHANGE_TIMEOUT_SECONDS
            )
        except httpx.HTTPError as error:
            raise _transport_error("the token address does not answer") from error
        return _HttpxResponse(response)


class _HttpxResponse(Response):
    def __init__(self, response: httpx.Response) -> None:
        self._response = response

    @property
    def status(self) -> int:
        return self._response.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        return self._response.headers

    @property
    def data(self) -> bytes:
        return self._response.content
