"""A push is believed when Google signed it for our own push subscription, and nothing else is."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from common.google_push import (
    KEEP_SECONDS,
    PAUSE_SECONDS,
    CertificatesUnavailableError,
    GoogleCertificates,
    InvalidPushTokenError,
    PushVerifier,
)

AUDIENCE = "https://api.example.com/push"
EMAIL = "push@project.iam.gserviceaccount.com"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def certificate(key: rsa.RSAPrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "federated-signon.system.gserviceaccount.com")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.PEM).decode()


def public_pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


class Google:
    """The certificates' address.

    Attributes:
        answer: What it says next: the certificates by their ids, or a whole response.
        asked: How often it was asked.
        seconds: On the clock of who asks.
    """

    def __init__(self) -> None:
        self.answer: dict[str, str] | httpx.Response = {"one": certificate(KEY)}
        self.asked = 0
        self.seconds = 1000.0
        client = httpx.AsyncClient(transport=httpx.MockTransport(self._give))
        certificates = GoogleCertificates(client, "https://certs.test/v1", now=lambda: self.seconds)
        self.verifier = PushVerifier(certificates, audience=AUDIENCE, email=EMAIL)

    def _give(self, _: httpx.Request) -> httpx.Response:
        self.asked += 1
        return self.answer if isinstance(self.answer, httpx.Response) else httpx.Response(200, json=self.answer)


@pytest.fixture
def google() -> Google:
    return Google()


def token(key: Any = KEY, *, kid: str | None = "one", algorithm: str = "RS256", **changed: Any) -> str:
    now = int(time.time())
    claims = {
        "iss": "https://accounts.google.com",
        "aud": AUDIENCE,
        "email": EMAIL,
        "email_verified": True,
        "iat": now,
        "exp": now + 3600,
        **changed,
    }
    kept = {name: value for name, value in claims.items() if value is not None}
    return "Bearer " + jwt.encode(kept, key, algorithm=algorithm, headers={"kid": kid} if kid else None)


async def test_genuine_token(google: Google) -> None:
    for _ in range(3):
        await google.verifier.verify(token())
    assert google.asked == 1
    google.answer, google.seconds = {"bare": public_pem(OTHER)}, google.seconds + KEEP_SECONDS
    await google.verifier.verify(token(OTHER, kid="bare"))


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer x.y.z",
        "Basic abc",
        token(OTHER),
        token(kid=None),
        token(kid="unknown"),
        token(aud="https://another.example.com"),
        token(aud=[AUDIENCE]),
        token(aud=None),
        token(iss="https://accounts.example.com"),
        token(email="another@project.iam.gserviceaccount.com"),
        token(email=None),
        token(email_verified=False),
        token(email_verified="true"),
        token(exp=int(time.time()) - 60),
        token(exp=None),
        token(iat=int(time.time()) + 600),
        token(public_pem(KEY).encode()[:60], algorithm="HS256"),
        token(None, algorithm="none"),
    ],
)
async def test_what_proves_nothing(google: Google, header: str) -> None:
    with pytest.raises(InvalidPushTokenError):
        await google.verifier.verify(header)


async def test_unknown_key_is_asked_for_once_in_a_while(google: Google) -> None:
    await google.verifier.verify(token())
    google.seconds += PAUSE_SECONDS
    for _ in range(5):
        with pytest.raises(InvalidPushTokenError):
            await google.verifier.verify(token(OTHER, kid="two"))
    assert google.asked == 2
    google.answer = {"two": certificate(OTHER)}
    google.seconds += PAUSE_SECONDS
    await google.verifier.verify(token(OTHER, kid="two"))


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={}),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json={"one": "no certificate"}),
        httpx.Response(200, json={"one": public_pem(ec.generate_private_key(ec.SECP256R1()))}),
        httpx.Response(200, content=b"x" * 300_000),
    ],
)
async def test_last_good_set_outlives_an_outage(google: Google, answer: httpx.Response) -> None:
    good, google.answer = google.answer, answer
    with pytest.raises(CertificatesUnavailableError):
        await google.verifier.verify(token())
    google.answer, google.seconds = good, google.seconds + PAUSE_SECONDS
    await google.verifier.verify(token())
    google.answer, google.seconds = answer, google.seconds + 2 * KEEP_SECONDS
    await google.verifier.verify(token())
    with pytest.raises(CertificatesUnavailableError):
        await google.verifier.verify(token(OTHER, kid="two"))
