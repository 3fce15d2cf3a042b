"""Proof that a Pub/Sub push is ours: the OpenID token that Google signs for our push subscription.

https://docs.cloud.google.com/pubsub/docs/authenticate-push-subscriptions
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx
import jwt
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from common.http import BodyTooLargeError, read_capped
from common.logging import get_logger

logger = get_logger(__name__)

CERTS_URL = "https://www.googleapis.com/oauth2/v1/certs"
ISSUERS = ("https://accounts.google.com", "accounts.google.com")
LEEWAY_SECONDS = 30
KEEP_SECONDS = 3600.0
PAUSE_SECONDS = 10.0
"""Between two questions for the certificates, whatever tokens name."""

ASK_SECONDS = 4.0
MAX_ANSWER_BYTES = 256 * 1024

Keys = dict[str, RSAPublicKey]


class InvalidPushTokenError(Exception):
    """The token is missing, forged, expired, or of another push subscription."""


class CertificatesUnavailableError(Exception):
    """Google's certificates cannot be had: nothing is known of the token."""


class GoogleCertificates:
    """Google's public keys by their ids: one question at a time, and the last good set outlives an outage."""

    def __init__(self, client: httpx.AsyncClient, url: str, *, now: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._url = url
        self._now = now
        self._keys: Keys = {}
        self._read_at: float | None = None
        self._asked_at: float | None = None
        self._answered = False
        self._asking = asyncio.Lock()

    async def find(self, key_id: str) -> RSAPublicKey | None:
        """Return the key, or ``None`` if Google has none of this id.

        Raises:
            CertificatesUnavailableError: The certificates at hand do not tell, and there are no newer ones to be had.
        """
        if not self._is_good(key_id):
            async with self._asking:
                just_asked = self._asked_at is not None and self._now() < self._asked_at + PAUSE_SECONDS
                if not self._is_good(key_id) and not just_asked:
                    await self._refresh()
        key = self._keys.get(key_id)
        if key is None and not self._answered:
            raise CertificatesUnavailableError
        return key

    def _is_good(self, key_id: str) -> bool:
        return key_id in self._keys and self._read_at is not None and self._now() < self._read_at + KEEP_SECONDS

    async def _refresh(self) -> None:
        self._asked_at = self._now()
        try:
            async with asyncio.timeout(ASK_SECONDS):
                self._keys = await self._ask()
        except (TimeoutError, httpx.HTTPError, BodyTooLargeError, ValueError, UnsupportedAlgorithm) as error:
            self._answered = False
            logger.error("google certificates not read", error=type(error).__name__, known=len(self._keys))
        else:
            self._answered = True
            self._read_at = self._now()

    async def _ask(self) -> Keys:
        async with self._client.stream("GET", self._url) as response:
            body = await read_capped(response, MAX_ANSWER_BYTES)
        if response.status_code != httpx.codes.OK:
            raise ValueError(f"status {response.status_code}")
        answer = httpx.Response(200, content=body).json()
        if not isinstance(answer, dict) or not answer:
            raise ValueError("not a set of certificates")
        return {str(key_id): _public_key(pem) for key_id, pem in answer.items()}


class PushVerifier:
    """Checks what only our own push subscription can send.

    Args:
        certificates: Whose signatures are believed.
        audience: As set on the push subscription.
        email: Of the service account that it pushes as; anybody's account can get a token for our audience.
    """

    def __init__(self, certificates: GoogleCertificates, *, audience: str, email: str) -> None:
        self._certificates = certificates
        self._audience = audience
        self._email = email

    async def verify(self, authorization: str) -> None:
        """Check the header ``Authorization`` of a push.

        Raises:
            InvalidPushTokenError: It does not prove anything.
            CertificatesUnavailableError: Nothing can be said now.
        """
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise InvalidPushTokenError
        try:
            key_id = jwt.get_unverified_header(token.strip()).get("kid")
        except jwt.PyJWTError as error:
            raise InvalidPushTokenError from error
        key = await self._certificates.find(key_id) if isinstance(key_id, str) else None
        if key is None:
            raise InvalidPushTokenError
        try:
            claims: dict[str, Any] = jwt.decode(
                token.strip(),
                key,
                algorithms=["RS256"],
                audience=self._audience,
                issuer=ISSUERS,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iat", "aud", "iss"], "strict_aud": True},
            )
        except jwt.PyJWTError as error:
            raise InvalidPushTokenError from error
        if claims.get("email") != self._email or claims.get("email_verified") is not True:
            raise InvalidPushTokenError


def _public_key(pem: object) -> RSAPublicKey:
    """Read a certificate, or a bare public key."""
    if not isinstance(pem, str):
        raise ValueError("not a certificate")
    content = pem.encode()
    is_certificate = "BEGIN CERTIFICATE" in pem
    key: object = (
        x509.load_pem_x509_certificate(content).public_key() if is_certificate else load_pem_public_key(content)
    )
    if not isinstance(key, RSAPublicKey):
        raise ValueError("not an RSA key")
    return key
