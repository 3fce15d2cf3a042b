"""What holds for every endpoint: the body of every error, request ids, whole coins, and what is ignored."""

import re
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from journey.answers import Json, data, error
from journey.endpoints import GUARDED, STARRED, WRITING, Endpoint
from journey.phone import Caller, Phone, fresh_payment

KNOWN_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def methods_of(path: str) -> set[str]:
    return {endpoint.method for endpoint in STARRED if endpoint.path == path}


@pytest.mark.parametrize("endpoint", GUARDED, ids=str)
async def test_without_a_token_it_is_401(guest: Caller, endpoint: Endpoint) -> None:
    answer = await guest.send(endpoint.method, endpoint.path, json=endpoint.body())

    assert "token" in error(answer, 401)["message"]
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", ["/", "/api", "/api/", "/api/nobody", "/api/coin", "/api/coin/gold", "/uploads/x.png"])
async def test_what_does_not_exist_is_404(phone: Phone, path: str) -> None:
    if path == "/":
        data(await phone.get(path))
    else:
        error(await phone.get(path), 404, "not_found")


@pytest.mark.parametrize("path", sorted({endpoint.path for endpoint in STARRED}))
async def test_other_methods_are_405(phone: Phone, path: str) -> None:
    # A picture's own path also matches /history and /generate with the methods that pictures have.
    allowed = methods_of(path) | ({"GET", "DELETE"} if path.startswith("/api/image/") else set())
    for method in set(KNOWN_METHODS) - allowed:
        answer = await phone.send(method, path, json={})
        error(answer, 405, "method_not_allowed")
        assert method not in re.split(r",\s*", answer.headers["allow"])
    assert await phone.balance() == 100


@pytest.mark.parametrize("endpoint", WRITING, ids=str)
async def test_a_body_of_more_than_a_mebibyte_is_413(phone: Phone, endpoint: Endpoint) -> None:
    body = {**(endpoint.body() or {}), "filler": "x" * (1024 * 1024)}

    error(await phone.send(endpoint.method, endpoint.path, json=body), 413, "payload_too_large")


async def test_a_streamed_body_of_more_than_a_mebibyte_is_413(phone: Phone) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b'{"amount": 5, "filler": "'
        for _ in range(40):
            yield b"x" * 65_536

    answer = await phone.send("POST", "/api/coin/deduct", content=parts(), headers={"Content-Type": "application/json"})

    error(answer, 413, "payload_too_large")
    assert await phone.balance() == 100


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "json"]
)
@pytest.mark.parametrize("endpoint", WRITING, ids=str)
async def test_a_body_that_is_not_json_is_415(phone: Phone, endpoint: Endpoint, media_type: str) -> None:
    answer = await phone.send(endpoint.method, endpoint.path, content=b"amount=5", headers={"Content-Type": media_type})

    error(answer, 415, "unsupported_media_type")


async def test_a_missing_field_is_named(phone: Phone) -> None:
    body = error(await phone.post("/api/coin/buy", {"amount": 100}), 422, "validation_failed")

    assert {detail["field"] for detail in body["details"]} == {"paymentMethod", "transactionId"}


@pytest.mark.parametrize(
    "literal",
    [
        *("1.0", "1.5", '"10"', "true", "null", "[]", "{}", "-1", "0", "1000001", "1e2", "1e400", "NaN", "Infinity"),
        *("9" * 30, "[5]", '{"$gt": 0}'),
    ],
    ids=lambda literal: literal[:12],
)
async def test_coins_are_whole_numbers(phone: Phone, literal: str) -> None:
    bodies = {
        "/api/coin/deduct": f'{{"amount": {literal}}}',
        "/api/coin/earn": f'{{"amount": {literal}, "source": "ad_watch"}}',
        "/api/coin/buy": f'{{"amount": {literal}, "paymentMethod": "stripe", "transactionId": "{fresh_payment()}"}}',
    }
    for path, body in bodies.items():
        answer = await phone.send("POST", path, content=body, headers={"Content-Type": "application/json"})
        error(answer, 422, "validation_failed")

    assert await phone.balance() == 100


@pytest.mark.parametrize("request_id", ["a", "A-b_c.9", "x" * 128, "0" * 32])
async def test_a_request_id_is_taken_over(phone: Phone, guest: Caller, request_id: str) -> None:
    headers = {"X-Request-Id": request_id}

    answers = [
        await phone.send("GET", "/api/coin/balance", headers=headers),
        await guest.send("GET", "/api/coin/balance", headers=headers),
        await guest.send("GET", "/nowhere", headers=headers),
        await guest.send("GET", "/health", headers=headers),
    ]

    assert [answer.headers["x-request-id"] for answer in answers] == [request_id] * 4


@pytest.mark.parametrize("request_id", ["", "x" * 129, "a b", "a/b", "<script>", "caf\xe9", "a,b"])
async def test_an_odd_request_id_is_replaced(phone: Phone, request_id: str) -> None:
    headers = {"X-Request-Id": request_id.encode("latin-1")}

    given = [
        (await phone.send("GET", path, headers=headers)).headers["x-request-id"]
        for path in ("/api/coin/balance", "/api/coin/nothing", "/health")
    ]

    assert request_id not in given
    assert len(set(given)) == 3
    assert all(re.fullmatch(r"[A-Za-z0-9._-]{1,128}", one) for one in given)


async def test_unknown_fields_are_ignored(phone: Phone) -> None:
    extra: Json = {
        "balance": 1_000_000,
        "userId": "0" * 24,
        "_id": "0" * 24,
        "$set": {"balance": 9},
        "a.b": 1,
        "free": True,
        "__proto__": {"isSubscribed": True},
    }

    content = data(await phone.post("/api/coin/deduct", {"amount": 5, **extra}))

    assert content["balance"] == 95
    assert not content["transaction"].keys() & extra.keys()


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "BeArEr"])
async def test_the_scheme_may_be_in_any_case(phone: Phone, guest: Caller, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {phone.account.token}"}

    data(await guest.send("GET", "/api/user/profile", headers=headers))


@pytest.mark.parametrize("endpoint", GUARDED, ids=str)
async def test_a_token_elsewhere_than_in_its_header_is_none(phone: Phone, guest: Caller, endpoint: Endpoint) -> None:
    token = phone.account.token
    elsewhere = [
        {"params": {"token": token, "access_token": token}},
        {"headers": {"X-Access-Token": token}},
        {"headers": {"Cookie": f"token={token}; access_token={token}"}},
        {"headers": {"Authorization": token}},
        {"headers": {"Authorization": f"Basic {token}"}},
    ]
    for arguments in elsewhere:
        error(await guest.send(endpoint.method, endpoint.path, json=endpoint.body(), **arguments), 401)


async def test_an_answer_says_nothing_of_the_software(phone: Phone) -> None:
    for path in ("/", "/health", "/api/coin/balance", f"/api/coin/{uuid4().hex}"):
        headers = (await phone.get(path)).headers
        assert not headers.keys() & {"server", "x-powered-by", "via"}
