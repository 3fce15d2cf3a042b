"""Google's service accounts: the real client library gets a token, nobody else does."""

import asyncio
import json
import stat
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import Request
from google.oauth2 import service_account

from sandbox_service import credentials
from sandbox_service.credentials import ForeignCredentialsError, ensure_service_account
from sandbox_service.google.keys import SCOPE
from sandbox_service.google.oauth import GRANT_TYPE
from sandbox_service.testing.play import BASE, Play, ask_token, claims_of


def test_key_file_is_private_kept_and_readdressed(tmp_path: Path) -> None:
    path = tmp_path / "new" / "play.json"
    first = ensure_service_account(path, "http://127.0.0.1:5010/")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert first["token_uri"] == "http://127.0.0.1:5010/token"

    moved = ensure_service_account(path, "http://sandbox:5010", world_readable=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert moved["token_uri"] == "http://sandbox:5010/token"
    assert moved["private_key"] == first["private_key"]
    assert [file.name for file in path.parent.iterdir()] == ["play.json"]


def test_a_real_key_is_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "real.json"
    path.write_text(json.dumps({"type": "service_account", "project_id": "my-company"}))
    before = path.read_bytes()
    with pytest.raises(ForeignCredentialsError):
        ensure_service_account(path, "http://sandbox:5010")
    assert credentials.main(["--out", str(path), "--base-url", "http://sandbox:5010"]) == 1
    assert "does not belong to the sandbox" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_command_line_makes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "play.json"
    assert credentials.main(["--out", str(path), "--base-url", "http://sandbox:5010"]) == 0
    assert json.loads(path.read_text())["token_uri"] == "http://sandbox:5010/token"


async def test_googles_own_library_gets_in(socket_client: httpx.AsyncClient, key_file: Path) -> None:
    # google-auth's own functions carry no types.
    credentials = service_account.Credentials.from_service_account_file(  # type: ignore[no-untyped-call]
        str(key_file), scopes=[SCOPE]
    )
    await asyncio.to_thread(credentials.refresh, Request())
    assert credentials.valid

    purchase = await Play(socket_client, {"Authorization": f"Bearer {credentials.token}"}).subscription("by-library")
    assert purchase["kind"] == "androidpublisher#subscriptionPurchaseV2"


async def test_another_key_gets_no_token(server: str, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    ensure_service_account(path, server)
    # google-auth's own functions carry no types.
    stranger = service_account.Credentials.from_service_account_file(  # type: ignore[no-untyped-call]
        str(path), scopes=[SCOPE]
    )
    with pytest.raises(RefreshError, match="invalid_grant"):
        await asyncio.to_thread(stranger.refresh, Request())


@pytest.mark.parametrize(
    ("claims", "error"),
    [
        ({}, None),
        ({"aud": "https://elsewhere.example/token"}, "invalid_grant"),
        ({"iss": "someone@else.example"}, "invalid_grant"),
        ({"exp": -3600}, "invalid_grant"),
        ({"exp": 7200}, "invalid_grant"),
        ({"iat": 3000}, "invalid_grant"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "https://www.googleapis.com/auth/drive"}, "invalid_scope"),
    ],
)
async def test_assertions_are_verified(
    client: httpx.AsyncClient, account: dict[str, Any], claims: dict[str, Any], error: str | None
) -> None:
    response = await ask_token(client, account, claims_of(account, **claims))

    if error is None:
        assert response.status_code == 200
        assert response.json()["token_type"] == "Bearer"
    else:
        assert (response.status_code, response.json()["error"]) == (400, error)


async def test_unsigned_and_missing_assertions(client: httpx.AsyncClient, account: dict[str, Any]) -> None:
    unsigned = jwt.encode({"iss": account["client_email"]}, "", "none")
    for form, error in (
        ({"grant_type": GRANT_TYPE, "assertion": unsigned}, "invalid_grant"),
        ({"grant_type": GRANT_TYPE, "assertion": "a.b.c"}, "invalid_grant"),
        ({"grant_type": GRANT_TYPE}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({}, "invalid_request"),
    ):
        response = await client.post("/token", data=form)
        assert (response.status_code, response.json()["error"]) == (400, error)


async def test_tokens_outlive_a_reset_and_forged_ones_fail(play: Play) -> None:
    await play.client.post("/_sandbox/reset")
    await play.subscription("still-good-token")
    issued = play.headers["Authorization"]
    forged = issued[:-1] + ("0" if issued[-1] != "0" else "1")
    for bad in ("", "Bearer x", "Bearer ya29.9999999999.0", "Bearer ya29.²²²²²²²²²².0", forged):
        url = f"{BASE}/subscriptionsv2/tokens/abcd"
        response = await play.client.get(url, headers={b"Authorization": bad.encode()})
        assert response.status_code == 401
        assert response.json()["error"]["status"] == "UNAUTHENTICATED"
