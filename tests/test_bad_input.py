"""Whatever is thrown at an endpoint: 4xx in the error body, never 5xx, and nothing moves."""

import json

import pytest

from journey.answers import data, described, error
from journey.endpoints import STARRED, WRITING, Endpoint
from journey.phone import Phone

DEEP = 100_000

BROKEN_JSON = {
    "nothing": b"",
    "half": b'{"amount": 5',
    "two": b'{"amount": 5}{"amount": 5}',
    "comma": b'{"amount": 5,}',
    "quotes": b"{'amount': 5}",
    "text": b"amount",
    "bad utf-8": b'{"reason": "\xff\xfe", "amount": 5}',
    "nul": b'{"amount": 5}\x00',
    "control": b'{"reason": "\x01"}',
    "deep list": b"[" * DEEP,
    "deep closed list": b"[" * DEEP + b"]" * DEEP,
    "deep object": b'{"amount":' * DEEP,
}

NOT_AN_OBJECT = {"null": None, "true": True, "number": 5, "text": "x", "list": [], "list of objects": [{"amount": 5}]}

WRONG_VALUES = {
    "operator": {"$gt": ""},
    "operator not": {"$ne": None},
    "where": {"$where": "sleep(5000)"},
    "list": ["x"],
    "empty list": [],
    "object": {},
    "true": True,
    "false": False,
    "huge": 10**400,
    "negative": -1,
    "fraction": 0.5,
    "nul": "a\x00b",
    "lone surrogate": "\ud800",
    "null": None,
}
_WEAK = {"name", "avatarUrl", "reason"}
"""May be null or missing."""


async def refused(phone: Phone, endpoint: Endpoint, content: bytes, case: str) -> None:
    answer = await phone.send(
        endpoint.method, endpoint.path, content=content, headers={"Content-Type": "application/json"}
    )
    assert 400 <= answer.status_code < 500, f"{case}: {described(answer)}"
    error(answer, answer.status_code)


@pytest.mark.parametrize("endpoint", WRITING, ids=str)
async def test_what_is_not_json_is_refused(phone: Phone, endpoint: Endpoint) -> None:
    for case, content in BROKEN_JSON.items():
        await refused(phone, endpoint, content, case)

    assert await phone.balance() == 100


@pytest.mark.parametrize("endpoint", WRITING, ids=str)
async def test_a_deep_unknown_field_does_no_harm(phone: Phone, endpoint: Endpoint) -> None:
    known = json.dumps(endpoint.body() or {})[:-1].encode()
    content = known + b', "x": ' + b"[" * DEEP + b"]" * DEEP + b"}"

    await refused(phone, endpoint, content, "deep field")

    assert await phone.balance() == 100


@pytest.mark.parametrize("endpoint", WRITING, ids=str)
async def test_what_is_no_object_is_refused(phone: Phone, endpoint: Endpoint) -> None:
    for case, value in NOT_AN_OBJECT.items():
        await refused(phone, endpoint, json.dumps(value).encode(), case)

    assert await phone.balance() == 100


@pytest.mark.parametrize("endpoint", WRITING, ids=str)
async def test_wrong_values_are_refused(phone: Phone, endpoint: Endpoint) -> None:
    for field in endpoint.body() or {}:
        for case, value in WRONG_VALUES.items():
            if case == "null" and field in _WEAK:
                continue
            body = {**(endpoint.body() or {}), field: value}
            await refused(phone, endpoint, json.dumps(body).encode(), f"{field}: {case}")

    assert await phone.balance() == 100


@pytest.mark.parametrize("endpoint", WRITING, ids=str)
async def test_numbers_that_are_none_are_refused(phone: Phone, endpoint: Endpoint) -> None:
    for field in endpoint.body() or {}:
        for literal in ("NaN", "Infinity", "-Infinity", "1e400", "9" * 5000):
            rest = {name: value for name, value in (endpoint.body() or {}).items() if name != field}
            content = f'{{"{field}": {literal}, {json.dumps(rest)[1:]}'.replace(", }", "}").encode()
            await refused(phone, endpoint, content, f"{field}: {literal[:10]}")

    assert await phone.balance() == 100


async def test_a_field_sent_twice_moves_coins_once_or_not_at_all(phone: Phone) -> None:
    answer = await phone.send(
        "POST",
        "/api/coin/deduct",
        content=b'{"amount": 5, "amount": 90}',
        headers={"Content-Type": "application/json"},
    )

    moved = -data(answer)["transaction"]["amount"] if answer.status_code == 200 else 0
    assert moved in (0, 5, 90)
    assert await phone.balance() == 100 - moved


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity, gzip"])
async def test_packed_bodies_are_refused(phone: Phone, encoding: str) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}

    answer = await phone.send("POST", "/api/coin/deduct", content=b'{"amount": 5}', headers=headers)

    error(answer, 415, "unsupported_media_type")
    assert await phone.balance() == 100


@pytest.mark.parametrize("method", ["TRACE", "PROPFIND", "BREW", "LOCK"])
async def test_unknown_methods_are_refused(phone: Phone, method: str) -> None:
    for path in sorted({endpoint.path for endpoint in STARRED}):
        answer = await phone.send(method, path)
        assert answer.status_code in (400, 404, 405, 501), described(answer)
        error(answer, answer.status_code)


@pytest.mark.parametrize(
    "image_id",
    ["x", "0" * 23, "0" * 25, "g" * 24, "%00", "%ff", "..%2f..", "%2e%2e", "%7b%24gt%3a1%7d", "0" * 24 + "%20", "-1"],
)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_odd_ids_name_no_picture(phone: Phone, method: str, image_id: str) -> None:
    answer = await phone.send(method, f"/api/image/{image_id}")

    assert answer.status_code in (404, 422)
    error(answer, answer.status_code)


async def test_huge_addresses_and_headers_are_refused(phone: Phone) -> None:
    for arguments in (
        {"params": {"x": "y" * 20_000}},
        {"headers": {"X-Filler": "y" * 70_000}},
        {"headers": {f"X-Filler-{number}": "y" for number in range(500)}},
    ):
        answer = await phone.send("GET", "/api/coin/balance", **arguments)
        assert 400 <= answer.status_code < 500, described(answer)
        error(answer, answer.status_code)
    assert await phone.balance() == 100
