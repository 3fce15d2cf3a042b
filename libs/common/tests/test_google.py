"""Tokens of a service account against a stand-in for Google's token address."""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from common.google import (
    ANDROID_PUBLISHER_SCOPE,
    GoogleAuthUnavailableError,
    GoogleCredentials,
    GoogleCredentialsError,
)

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EMAIL = "play@project.iam.gserviceaccount.com"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    pem = KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    account = {
        "type": "service_account",
        "private_key_id": "kid-1",
        "private_key": pem.decode(),
        "client_email": EMAIL,
        "token_uri": "http://google.test/token",
    }
    path = tmp_path / "play.json"
    path.write_text(json.dumps(account))
    return path


class TokenAddress:
    """Counts what it is asked; answers with tokens that live ``expires_in`` seconds, or as told."""

    def __init__(self, *, expires_in: int = 3599) -> None:
        self.assertions: list[str] = []
        self.expires_in = expires_in
        self.answer: Callable[[], httpx.Response] | None = None
        self.may_answer = threading.Event()
        self.may_answer.set()

    def credentials(self, key_file: Path) -> GoogleCredentials:
        transport = httpx.MockTransport(self._handle)
        return GoogleCredentials.from_file(key_file, [ANDROID_PUBLISHER_SCOPE], transport=transport)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.assertions.append(dict(httpx.QueryParams(request.content.decode()))["assertion"])
        assert self.may_answer.wait(timeout=10)
        if self.answer is not None:
            return self.answer()
        token = f"token-{len(self.assertions)}"
        return httpx.Response(200, json={"access_token": token, "expires_in": self.expires_in, "token_type": "Bearer"})


async def test_token_is_fetched_once_for_all_who_want_it_at_once(key_file: Path) -> None:
    google = TokenAddress()
    google.may_answer.clear()
    credentials = google.credentials(key_file)
    waiting = [asyncio.create_task(credentials.access_token()) for _ in range(20)]
    deadline = time.monotonic() + 10
    while not google.assertions:  # the exchange blocks in its thread; this loop shows that the event loop runs on
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    google.may_answer.set()

    assert await asyncio.gather(*waiting) == ["token-1"] * 20
    assert await credentials.access_token() == "token-1"
    claims = jwt.decode(
        google.assertions[0], KEY.public_key(), algorithms=["RS256"], audience="https://oauth2.googleapis.com/token"
    )
    assert (claims["iss"], claims["scope"]) == (EMAIL, ANDROID_PUBLISHER_SCOPE)
    assert len(google.assertions) == 1


async def test_forgotten_token_is_replaced_but_a_newer_one_is_kept(key_file: Path) -> None:
    credentials = TokenAddress().credentials(key_file)
    first = await credentials.access_token()
    credentials.forget(first)
    second = await credentials.access_token()
    assert second != first
    credentials.forget(first)
    assert await credentials.access_token() == second


async def test_stale_token_outlives_a_fault_and_an_expired_one_does_not(key_file: Path) -> None:
    google = TokenAddress(expires_in=60)  # within the margin in which the library calls a token stale
    credentials = google.credentials(key_file)
    assert await credentials.access_token() == "token-1"
    google.answer = lambda: httpx.Response(400, json={"error": "invalid_grant"})
    assert await credentials.access_token() == "token-1"

    expired = TokenAddress(expires_in=-1)
    credentials = expired.credentials(key_file)
    expired.answer = google.answer
    with pytest.raises(GoogleAuthUnavailableError):
        await credentials.access_token()


def _no_connection() -> httpx.Response:
    raise httpx.ConnectError("refused")


@pytest.mark.parametrize(
    "answer",
    [
        lambda: httpx.Response(400, json={"error": "invalid_grant", "error_description": "Invalid JWT Signature."}),
        lambda: httpx.Response(403, text="<html>"),
        lambda: httpx.Response(200, json={}),
        lambda: httpx.Response(200, json=[]),
        lambda: httpx.Response(200, json={"access_token": None}),
        lambda: httpx.Response(200, json={"access_token": "t", "expires_in": "soon"}),
        lambda: httpx.Response(200, text="not json"),
        lambda: httpx.Response(302, headers={"Location": "http://elsewhere.test/"}),
        _no_connection,
    ],
)
async def test_whatever_google_does_wrong_is_one_error_and_passes(
    key_file: Path, answer: Callable[[], httpx.Response]
) -> None:
    google = TokenAddress()
    credentials = google.credentials(key_file)
    google.answer = answer
    with pytest.raises(GoogleAuthUnavailableError):
        await credentials.access_token()
    google.answer = None
    assert (await credentials.access_token()).startswith("token-")


@pytest.mark.parametrize("content", ["", "{}", "[]", "null", '{"type": "service_account"}', "not json"])
def test_key_file_that_is_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "play.json"
    path.write_text(content)
    with pytest.raises(GoogleCredentialsError, match=r"play\.json"):
        GoogleCredentials.from_file(path, [ANDROID_PUBLISHER_SCOPE])


def test_key_file_that_is_absent(tmp_path: Path) -> None:
    with pytest.raises(GoogleCredentialsError):
        GoogleCredentials.from_file(tmp_path / "absent.json", [ANDROID_PUBLISHER_SCOPE])
