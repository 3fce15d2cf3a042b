"""Whose request it is: what the edge takes for a token, and what not."""

import base64
import hmac
import json
import time
from typing import Any

import httpx
import pytest

from common.auth import CurrentUser, TokenVerifier
from common.errors import InvalidTokenError
from common.testing import TEST_SECRETS, service_token, user_token
from gateway_service.identity import Identity
from gateway_service.testing import ScriptedService

USER = "0123456789abcdef01234567"
SECRET = TEST_SECRETS["jwt_secret"].get_secret_value().encode()


def encode(data: Any) -> str:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    good = {
        "sub": USER,
        "iss": "pixelmint",
        "aud": "pixelmint-api",
        "iat": now,
        "exp": now + 600,
        "jti": "1",
        "sid": "s",
    }
    return {key: value for key, value in (good | {"email": "a@b.c"} | changes).items() if value is not None}


def sign(header: dict[str, Any], payload: Any, *, key: bytes = SECRET, digest: str = "sha256") -> str:
    text = f"{encode(header)}.{encode(payload)}"
    return f"{text}.{encode(hmac.new(key, text.encode(), digest).digest())}"


HS256 = {"alg": "HS256", "typ": "JWT"}
GOOD = sign(HS256, claims())
HEAD, PAYLOAD, SIGNATURE = GOOD.split(".")

BAD = {
    "alg none": f"{encode({'alg': 'none'})}.{PAYLOAD}.",
    "alg None": f"{encode({'alg': 'None'})}.{PAYLOAD}.",
    "alg NONE with a signature": f"{encode({'alg': 'NONE'})}.{PAYLOAD}.{SIGNATURE}",
    "alg empty": sign({"alg": ""}, claims()),
    "no alg": sign({"typ": "JWT"}, claims()),
    "alg a list": sign({"alg": ["HS256"]}, claims()),
    "alg hs256": sign({"alg": "hs256"}, claims()),
    "HS384": sign({"alg": "HS384"}, claims(), digest="sha384"),
    "HS512": sign({"alg": "HS512"}, claims(), digest="sha512"),
    "RS256 signed by HMAC": sign({"alg": "RS256"}, claims()),
    "no signature": f"{HEAD}.{PAYLOAD}.",
    "no third part": f"{HEAD}.{PAYLOAD}",
    "four parts": f"{GOOD}.x",
    "bent signature": GOOD[:-4] + ("AAAA" if not GOOD.endswith("AAAA") else "BBBB"),
    "changed payload": f"{HEAD}.{encode(claims(sub='f' * 24))}.{SIGNATURE}",
    "an empty key": sign(HS256, claims(), key=b""),
    "a well-known key": sign(HS256, claims(), key=b"secret"),
    "another well-known key": sign(HS256, claims(), key=b"your-256-bit-secret"),
    "embedded jwk": sign(HS256 | {"jwk": {"kty": "oct", "k": encode(b"evil")}}, claims(), key=b"evil"),
    "kid path": sign(HS256 | {"kid": "../../dev/null"}, claims(), key=b""),
    "kid sql": sign(HS256 | {"kid": "x' UNION SELECT 'k"}, claims(), key=b"k"),
    "jku": sign(HS256 | {"jku": "http://169.254.169.254/keys"}, claims(), key=b"evil"),
    "x5u": sign(HS256 | {"x5u": "http://169.254.169.254/cert"}, claims(), key=b"evil"),
    "crit": sign(HS256 | {"crit": ["b64"], "b64": False}, claims()),
    "expired": sign(HS256, claims(exp=int(time.time()) - 60)),
    "no exp": sign(HS256, claims(exp=None)),
    "exp a string": sign(HS256, claims(exp="9999999999")),
    "exp infinite": sign(HS256, json.dumps(claims()).replace('"exp": ', '"exp": 1e999, "x": ').encode()),
    "nbf in the future": sign(HS256, claims(nbf=int(time.time()) + 600)),
    "iat in the future": sign(HS256, claims(iat=int(time.time()) + 600)),
    "no sub": sign(HS256, claims(sub=None)),
    "sub a number": sign(HS256, claims(sub=1)),
    "sub an operator": sign(HS256, claims(sub={"$ne": None})),
    "sub not an id": sign(HS256, claims(sub="../admin")),
    "no iss": sign(HS256, claims(iss=None)),
    "another iss": sign(HS256, claims(iss="evil")),
    "no aud": sign(HS256, claims(aud=None)),
    "another aud": sign(HS256, claims(aud="coin")),
    "a list of aud": sign(HS256, claims(aud=["pixelmint-api", "coin"])),
    "no sid": sign(HS256, claims(sid=None)),
    "payload a list": sign(HS256, [1, 2]),
    "payload a string": sign(HS256, "x"),
    "payload not JSON": sign(HS256, b"\xff\xfe{"),
    "deep payload": sign(HS256, b'{"a":' * 400 + b"1" + b"}" * 400),
    "a service token": service_token(audience="coin", scope="coin:hold")["Authorization"].removeprefix("Bearer "),
    "a service token for users": sign(HS256, claims(aud="pixelmint-api", sub="image", scope="coin:hold")),
    "an opaque refresh token": "rt_" + "a" * 43,
    "dots": "..",
    "one word": "x",
    "too long": GOOD + "a" * 5000,
}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", BAD)
async def test_a_bad_token_is_401(
    shared_gateway: httpx.AsyncClient, shared_service: ScriptedService, name: str
) -> None:
    for _ in range(2):
        reply = await shared_gateway.get("/api/coin/balance", headers={"Authorization": f"Bearer {BAD[name]}"})
        assert reply.status_code == 401
        assert reply.headers["www-authenticate"] == "Bearer"
        assert reply.json()["code"] == ("token_expired" if name == "expired" else "invalid_token")
        assert "token" in reply.json()["message"]
    assert shared_service.seen == []


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ([], "missing_token"),
        ([("Authorization", "")], "invalid_token"),
        ([("Authorization", "Bearer")], "invalid_token"),
        ([("Authorization", GOOD)], "invalid_token"),
        ([("Authorization", f"Basic {GOOD}")], "invalid_token"),
        ([("Authorization", f"Bearer {GOOD} x")], "invalid_token"),
        ([("Authorization", f"Bearer {GOOD}, Bearer {GOOD}")], "invalid_token"),
        ([("Authorization", f"Bearer {GOOD}"), ("Authorization", f"Bearer {GOOD}")], "invalid_token"),
        ([("Authorization", f"Bearer {GOOD}"), ("Authorization", "Bearer x")], "invalid_token"),
        ([("Authorization", b"Bearer \xff\xfe")], "invalid_token"),
        ([("Proxy-Authorization", f"Bearer {GOOD}")], "missing_token"),
        ([("X-Authorization", f"Bearer {GOOD}")], "missing_token"),
        ([("X-Access-Token", GOOD)], "missing_token"),
        ([("Cookie", f"token={GOOD}; access_token={GOOD}; Authorization=Bearer {GOOD}")], "missing_token"),
        ([("X-User-Id", USER), ("X_User_Id", USER)], "missing_token"),
    ],
)
async def test_a_token_comes_in_one_authorization_header_or_not_at_all(
    shared_gateway: httpx.AsyncClient, shared_service: ScriptedService, headers: list[tuple[str, str]], code: str
) -> None:
    reply = await shared_gateway.get(f"/api/coin/balance?token={GOOD}&access_token={GOOD}", headers=headers)

    assert (reply.status_code, reply.json()["code"]) == (401, code)
    assert shared_service.seen == []


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
async def test_the_scheme_is_written_in_any_case(shared_gateway: httpx.AsyncClient, scheme: str) -> None:
    reply = await shared_gateway.get("/api/coin/balance", headers={"Authorization": f"{scheme} {GOOD}"})

    assert reply.status_code == 200


@pytest.mark.asyncio(loop_scope="module")
async def test_a_missing_token_does_not_cost_the_connection(
    shared_gateway: httpx.AsyncClient, shared_service: ScriptedService, token: dict[str, str]
) -> None:
    assert (await shared_gateway.post("/api/coin/buy", content=b"x" * 100_000)).status_code == 401
    assert (await shared_gateway.get("/api/coin/balance", headers=token)).status_code == 200
    assert shared_service.seen[0].request_line.startswith(b"GET")


class CountingVerifier(TokenVerifier):
    def __init__(self) -> None:
        super().__init__(TEST_SECRETS["jwt_secret"])
        self.calls = 0

    def verify(self, token: str) -> CurrentUser:
        self.calls += 1
        return super().verify(token)


class TestMemory:
    """A good token is checked once, but never believed past its end."""

    def test_a_good_token_is_checked_once(self) -> None:
        verifier = CountingVerifier()
        identity = Identity(verifier)
        header = [f"Bearer {user_token(USER)}".encode()]
        assert {identity.user(header).id for _ in range(5)} == {USER}
        assert verifier.calls == 1
        identity.forget_all()
        identity.user(header)
        assert verifier.calls == 2

    def test_it_is_checked_again_from_its_expiry_on(self) -> None:
        verifier = CountingVerifier()
        now = time.time()
        clock = [now]
        identity = Identity(verifier, now=lambda: clock[0])
        header = [f"Bearer {user_token(USER, ttl=600)}".encode()]
        identity.user(header)
        clock[0] = now + 598
        identity.user(header)
        assert verifier.calls == 1
        clock[0] = now + 601
        for calls in (2, 3):  # the verifier's word counts, and is not kept
            identity.user(header)
            assert verifier.calls == calls

    def test_bad_tokens_are_not_kept_and_push_nothing_out(self) -> None:
        verifier = CountingVerifier()
        identity = Identity(verifier, max_remembered=2)
        good = [f"Bearer {user_token(USER)}".encode()]
        identity.user(good)
        for number in range(10):
            with pytest.raises(InvalidTokenError):
                identity.user([b"Bearer bad%d" % number])
        identity.user(good)
        assert verifier.calls == 11

    def test_it_is_bounded(self) -> None:
        verifier = CountingVerifier()
        identity = Identity(verifier, max_remembered=2)
        headers = [[f"Bearer {user_token(USER)}".encode()] for _ in range(3)]
        for header in [*headers, headers[2], headers[1]]:
            identity.user(header)
        assert verifier.calls == 3
        identity.user(headers[0])
        assert verifier.calls == 4

    def test_a_good_first_header_does_not_cover_for_a_second(self) -> None:
        identity = Identity(TokenVerifier(TEST_SECRETS["jwt_secret"]))
        good = f"Bearer {user_token(USER)}".encode()
        identity.user([good])
        with pytest.raises(InvalidTokenError):
            identity.user([good, good])

    def test_a_token_of_another_key_is_not_found_by_its_payload(self) -> None:
        identity = Identity(TokenVerifier(TEST_SECRETS["jwt_secret"]))
        good = user_token(USER)
        identity.user([f"Bearer {good}".encode()])
        with pytest.raises(InvalidTokenError):
            identity.user([f"Bearer {good.rpartition('.')[0]}.AAAA".encode()])
