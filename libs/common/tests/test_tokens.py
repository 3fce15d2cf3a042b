"""The forgeries that a token check must see through."""

import base64
import hashlib
import hmac
import json
import time
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest

from common.auth import LEEWAY_SECONDS, USER_AUDIENCE, TokenVerifier
from common.errors import ExpiredTokenError, ForbiddenError, InvalidTokenError
from common.service_auth import (
    SERVICE_LEEWAY_SECONDS,
    SERVICE_TOKEN_REUSE_SECONDS,
    SERVICE_TOKEN_TTL_SECONDS,
    ServiceTokenSigner,
    ServiceTokenVerifier,
)
from common.testing import TEST_SECRETS, service_token, user_token
from common.tokens import ISSUER

USER = "0123456789abcdef01234567"
SECRET = TEST_SECRETS["jwt_secret"]
NOW = int(datetime.now(UTC).timestamp())


def claims(**changes: Any) -> dict[str, Any]:
    base = {
        "sub": USER,
        "iss": ISSUER,
        "aud": USER_AUDIENCE,
        "iat": NOW,
        "exp": NOW + 600,
        "jti": "1",
        "sid": "s",
        "email": "ada@example.com",
    }
    return {name: value for name, value in (base | changes).items() if value is not ...}


def signed(payload: dict[str, Any], **header: Any) -> str:
    """Sign by hand, so that claims and headers may be of any shape."""

    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    body = f"{part({'alg': 'HS256', 'typ': 'JWT'} | header)}.{part(payload)}"
    mac = hmac.new(SECRET.get_secret_value().encode(), body.encode(), hashlib.sha256).digest()
    return f"{body}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


def test_good_token_names_its_user() -> None:
    user = TokenVerifier(SECRET).verify(signed(claims()))
    assert (user.id, user.email, user.session_id, user.expires_at) == (USER, "ada@example.com", "s", NOW + 600)


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": ...},
        {"exp": str(NOW + 600)},
        {"exp": None},
        {"exp": True},
        {"exp": [NOW + 600]},
        {"exp": 1e400},
        {"iat": ...},
        {"iat": "now"},
        {"iat": NOW + 3600},
        {"nbf": NOW + 3600},
        {"sub": ...},
        {"sub": 7},
        {"sub": None},
        {"sub": ""},
        {"sub": "../admin"},
        {"sub": {"$ne": None}},
        {"sub": USER + "00"},
        {"iss": ...},
        {"iss": "somebody"},
        {"iss": [ISSUER]},
        {"aud": ...},
        {"aud": "coin"},
        {"aud": [USER_AUDIENCE, "coin"]},
        {"sid": ...},
        {"email": ...},
        {"email": 5},
    ],
)
def test_bent_claims(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidTokenError):
        TokenVerifier(SECRET).verify(signed(claims(**changes)))


def test_expired_beyond_the_leeway() -> None:
    now = int(datetime.now(UTC).timestamp())
    assert TokenVerifier(SECRET).verify(signed(claims(exp=now - 10))).id == USER
    with pytest.raises(ExpiredTokenError):
        TokenVerifier(SECRET).verify(signed(claims(exp=now - 31)))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "HS384", "HS512", "RS256", "ES256", "", None, 1])
def test_other_algorithms_in_the_header(algorithm: Any) -> None:
    with pytest.raises(InvalidTokenError):
        TokenVerifier(SECRET).verify(signed(claims(), alg=algorithm))


def test_properly_signed_with_other_hmac_sizes_and_well_known_secrets() -> None:
    forged = [jwt.encode(claims(), SECRET.get_secret_value() * 2, algorithm=size) for size in ("HS384", "HS512")]
    forged += [signed(claims())[:-4], signed(claims()) + "AA", "", "a.b", "a.b.c", "....", "\x00", "é", "x" * 5000]
    forged += [jwt.encode(claims(), key * 4, algorithm="HS256") for key in ("secret--", "changeme", "12345678")]
    head, _, mac = signed(claims()).split(".")
    forged.append(f"{head}.{signed(claims(sub='f' * 24)).split('.')[1]}.{mac}")
    forged.append(f"{head}..{mac}")
    for token in forged:
        with pytest.raises(InvalidTokenError):
            TokenVerifier(SECRET).verify(token)


def test_key_named_by_the_token_is_never_used() -> None:
    # Signed with our key, so only the header is odd: it may be ignored or refused, never followed.
    ignored: list[dict[str, Any]] = [
        {"jku": "http://127.0.0.1:1/k"},
        {"x5u": "http://127.0.0.1:1/k"},
        {"kid": "../../dev/null"},
    ]
    for header in ignored:
        assert TokenVerifier(SECRET).verify(signed(claims(), **header)).id == USER
    refused: list[dict[str, Any]] = [{"crit": ["exp"]}, {"b64": False, "crit": ["b64"]}]
    for header in refused:
        with pytest.raises(InvalidTokenError):
            TokenVerifier(SECRET).verify(signed(claims(), **header))
    own_key = base64.urlsafe_b64encode(b"k" * 32).decode()
    attacker = jwt.encode(claims(), "k" * 32, algorithm="HS256", headers={"jwk": {"kty": "oct", "k": own_key}})
    with pytest.raises(InvalidTokenError):
        TokenVerifier(SECRET).verify(attacker)


def test_service_tokens_are_for_one_callee_one_operation_and_a_minute() -> None:
    key = TEST_SECRETS["service_secret"]
    coin = ServiceTokenVerifier(key, audience="coin")
    good = service_token(audience="coin", scope="coin:hold", caller="image")["Authorization"].removeprefix("Bearer ")
    assert coin.verify(good, scope="coin:hold") == "image"
    with pytest.raises(ForbiddenError):
        coin.verify(good, scope="coin:void")
    with pytest.raises(InvalidTokenError):
        ServiceTokenVerifier(key, audience="auth").verify(good, scope="coin:hold")
    with pytest.raises(InvalidTokenError):
        coin.verify(user_token(USER), scope="coin:hold")
    with pytest.raises(InvalidTokenError):
        TokenVerifier(SECRET).verify(good)
    base = {"sub": "image", "iss": ISSUER, "aud": "coin", "scope": "coin:hold", "iat": NOW}
    for lifetime in (61, 3600, 0, -1):
        forged = jwt.encode(base | {"exp": NOW + lifetime}, key.get_secret_value(), algorithm="HS256")
        with pytest.raises(InvalidTokenError):
            coin.verify(forged, scope="coin:hold")


def test_a_remembered_token_still_expires_and_stands_for_no_other() -> None:
    clock = [float(NOW)]
    verifier = TokenVerifier(SECRET, now=lambda: clock[0])
    end = int(time.time()) + 600
    token = signed(claims(exp=end))
    assert verifier.verify(token).id == USER
    assert verifier.verify(token).id == USER
    with pytest.raises(InvalidTokenError):
        verifier.verify(token[:-4] + "AAAA")
    clock[0] = end + LEEWAY_SECONDS - 1
    assert verifier.verify(token).id == USER
    clock[0] = end + LEEWAY_SECONDS
    with pytest.raises(ExpiredTokenError):
        verifier.verify(token)


def test_a_remembered_service_token_still_expires_and_is_for_one_operation() -> None:
    clock = [float(NOW)]
    key = TEST_SECRETS["service_secret"]
    coin = ServiceTokenVerifier(key, audience="coin", now=lambda: clock[0])
    token = ServiceTokenSigner(key, caller="image").sign(audience="coin", scope="coin:hold")
    end = jwt.decode(token, options={"verify_signature": False})["exp"]
    assert [coin.verify(token, scope="coin:hold") for _ in range(2)] == ["image", "image"]
    with pytest.raises(ForbiddenError):
        coin.verify(token, scope="coin:void")
    with pytest.raises(InvalidTokenError):
        coin.verify(token[:-4] + "AAAA", scope="coin:hold")
    clock[0] = end + SERVICE_LEEWAY_SECONDS - 1
    assert coin.verify(token, scope="coin:hold") == "image"
    clock[0] = end + SERVICE_LEEWAY_SECONDS
    with pytest.raises(ExpiredTokenError):
        coin.verify(token, scope="coin:hold")


def test_a_signed_token_is_sent_again_for_the_same_operation_while_it_is_young() -> None:
    clock = [float(NOW)]
    signer = ServiceTokenSigner(TEST_SECRETS["service_secret"], caller="image", now=lambda: clock[0])

    def sign(scope: str = "coin:hold", audience: str = "coin") -> str:
        return signer.sign(audience=audience, scope=scope)

    first = sign()
    assert first not in (sign("coin:void"), sign(audience="auth"))
    clock[0] += SERVICE_TOKEN_REUSE_SECONDS - 1
    assert sign() == first
    clock[0] += 1
    second = sign()
    assert second != first
    claims = jwt.decode(second, options={"verify_signature": False})
    assert (claims["iat"], claims["exp"]) == (clock[0], clock[0] + SERVICE_TOKEN_TTL_SECONDS)
    # A clock that is set back: the token would come from the future.
    clock[0] -= 3600
    assert sign() not in (first, second)
