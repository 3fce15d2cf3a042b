"""Tokens that look like ours and are not: at the gateway, and at every service past it."""

import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import jwt
import pytest
import pytest_asyncio

from journey.answers import error
from journey.endpoints import GUARDED
from journey.mesh import SERVICES, Mesh
from journey.phone import Caller, Phone
from journey.tokens import claims_of, encoded, header_of

PROFILE = "/api/user/profile"
INNER = {
    "auth": ("GET", "/internal/accounts/{id}", "auth:read"),
    "coin": ("GET", "/internal/wallets/{id}", "coin:read"),
    "subscription": ("GET", "/internal/entitlements/{id}", "subscription:read"),
}


def unsigned(token: str) -> dict[str, str]:
    header, payload, signature = token.split(".")
    claims = claims_of(token)
    other = encoded({**claims, "sub": "0" * 24})
    return {
        "no signature": f"{header}.{payload}.",
        "two parts": f"{header}.{payload}",
        "bent signature": f"{header}.{payload}.{signature[:-3]}AAA",
        "another user": f"{header}.{other}.{signature}",
        "alg none": f"{encoded({'alg': 'none', 'typ': 'JWT'})}.{payload}.",
        "alg None": f"{encoded({'alg': 'nOnE'})}.{payload}.{signature}",
        "alg missing": f"{encoded({'typ': 'JWT'})}.{payload}.{signature}",
        "alg list": f"{encoded({'alg': ['HS256']})}.{payload}.{signature}",
        "jwk inside": _signed(claims, "x" * 32, jwk={"kty": "oct", "k": "eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg"}),
        "kid path": _signed(claims, "x" * 32, kid="/dev/null"),
        "jku": _signed(claims, "x" * 32, jku="http://127.0.0.1:9/keys"),
        "well-known secret": _signed(claims, "your-256-bit-secret-your-256-bit"),
        "not base64": "a.b.c",
        "not JSON": "YQ.YQ.YQ",
        "long": "x" * 5000,
        "dots": "." * 50,
    }


def _signed(claims: dict[str, Any], secret: str, *, algorithm: str = "HS256", **header: Any) -> str:
    return jwt.encode(claims, secret, algorithm=algorithm, headers=header or None)


def misused(token: str, secrets: dict[str, str]) -> dict[str, str]:
    """Tokens signed with our own key that still must open nothing."""
    key, now, claims = secrets["JWT_SECRET"], int(time.time()), claims_of(token)

    def changed(**change: Any) -> str:
        return _signed({name: value for name, value in {**claims, **change}.items() if value is not ...}, key)

    return {
        "expired": changed(exp=now - 60),
        "no exp": changed(exp=...),
        "no sub": changed(sub=...),
        "sub no id": changed(sub="admin"),
        "wrong issuer": changed(iss="somebody"),
        "no issuer": changed(iss=...),
        "wrong audience": changed(aud="another-api"),
        "audiences": changed(aud=[claims["aud"], "another-api"]),
        "for a service": changed(aud="coin"),
        "not yet": changed(nbf=now + 3600),
        "exp a text": changed(exp=str(claims["exp"])),
        "HS512": _signed(claims, key, algorithm="HS512"),
        "service key": _signed(claims, secrets["SERVICE_SECRET"]),
        "service token": _service_token(secrets, "user", "user:read"),
    }


def _service_token(secrets: dict[str, str], audience: str, scope: str, *, ttl: int = 30) -> str:
    now = int(time.time())
    claims = {"sub": "test", "iss": "pixelmint", "aud": audience, "scope": scope, "iat": now, "exp": now + ttl}
    return _signed({**claims, "jti": "journey"}, secrets["SERVICE_SECRET"])


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest_asyncio.fixture
async def direct(mesh: Mesh) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks to the services past the gateway."""
    async with httpx.AsyncClient(trust_env=False, timeout=10.0) as client:
        yield client


async def test_forged_tokens_are_refused(phone: Phone, guest: Caller) -> None:
    assert header_of(phone.account.token)["alg"] == "HS256"
    for case, token in {**unsigned(phone.account.token), "refresh token": phone.account.refresh_token}.items():
        body = error(await guest.send("GET", PROFILE, headers=bearer(token)), 401)
        assert "token" in body["message"], case


@pytest.mark.processes
async def test_tokens_for_something_else_are_refused(mesh: Mesh, phone: Phone, guest: Caller) -> None:
    for case, token in misused(phone.account.token, mesh.secrets()).items():
        answer = await guest.send("GET", PROFILE, headers=bearer(token))
        assert answer.status_code == 401, case
        error(answer, 401)


@pytest.mark.processes
async def test_an_account_that_does_not_exist_opens_no_wallet(mesh: Mesh, phone: Phone, guest: Caller) -> None:
    nobody = _signed({**claims_of(phone.account.token), "sub": "f" * 24}, mesh.secrets()["JWT_SECRET"])
    for endpoint in GUARDED:
        if endpoint.path.split("/")[2] in ("user", "coin") or endpoint.path == "/api/image/generate":
            answer = await guest.send(endpoint.method, endpoint.path, json=endpoint.body(), headers=bearer(nobody))
            assert answer.status_code == 401, endpoint
            error(answer, 401)


@pytest.mark.processes
async def test_services_check_tokens_themselves(mesh: Mesh, phone: Phone, direct: httpx.AsyncClient) -> None:
    refused = {**unsigned(phone.account.token), **misused(phone.account.token, mesh.secrets())}
    for endpoint in GUARDED:
        service = endpoint.path.split("/")[2]
        url = mesh.service(service) + endpoint.path
        identities = {"X-User-Id": phone.account.id, "X-User-Email": phone.account.email}
        error(await direct.request(endpoint.method, url, json=endpoint.body(), headers=identities), 401)
        for case, token in refused.items():
            headers = {**bearer(token), **identities}
            answer = await direct.request(endpoint.method, url, json=endpoint.body(), headers=headers)
            assert answer.status_code == 401, f"{endpoint} {case}"
            error(answer, 401)
    assert await phone.balance() == 100


@pytest.mark.processes
@pytest.mark.parametrize("service", INNER)
async def test_inner_routes_take_only_their_own_service_tokens(
    mesh: Mesh, phone: Phone, direct: httpx.AsyncClient, service: str
) -> None:
    method, path, scope = INNER[service]
    url = mesh.service(service) + path.format(id=phone.account.id)
    secrets = mesh.secrets()
    others = {
        "nobody": {},
        "the user": bearer(phone.account.token),
        "another service's": bearer(_service_token(secrets, "image", scope)),
        "lives too long": bearer(_service_token(secrets, service, scope, ttl=3600)),
        "signed with the users' key": bearer(
            _signed(jwt.decode(_service_token(secrets, service, scope), options={"verify_signature": False}), "x" * 32)
        ),
    }
    for case, headers in others.items():
        answer = await direct.request(method, url, headers=headers)
        assert answer.status_code == 401, case
        error(answer, 401)
    error(await direct.request(method, url, headers=bearer(_service_token(secrets, service, "other:scope"))), 403)

    assert (await direct.request(method, url, headers=bearer(_service_token(secrets, service, scope)))).is_success


@pytest.mark.processes
async def test_no_service_has_an_inner_route_without_a_token(mesh: Mesh, direct: httpx.AsyncClient) -> None:
    for service in SERVICES:
        schema = (await direct.get(f"{mesh.service(service)}/openapi.json")).json()
        for path, item in schema.get("paths", {}).items():
            if not path.startswith("/internal"):
                continue
            for method in item:
                url = mesh.service(service) + path.replace("{", "").replace("}", "")
                error(await direct.request(method.upper(), url, json={}), 401)
