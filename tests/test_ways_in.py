"""What the gateway lets in: paths, methods, identities and framing, however they are spelled."""

import json

import pytest

from journey.answers import ERROR_KEYS, data, error
from journey.mesh import Mesh
from journey.phone import Caller, NewPhone, Phone
from journey.wire import ask, exchange

INNER_PATHS = [
    "/internal/wallets/{id}",
    "/internal/accounts/{id}",
    "/internal/entitlements/{id}",
    "/internal/generations/{id}",
    "/internal",
    "/INTERNAL/wallets/{id}",
    "/api/internal/wallets/{id}",
    "/api/coin/internal/wallets/{id}",
    "/api/coin/../internal/wallets/{id}",
    "/api/coin/../../internal/wallets/{id}",
    "/api/coin/balance/../../../internal/wallets/{id}",
    "/api/coin/%2e%2e/%2e%2e/internal/wallets/{id}",
    "/api/coin/%2E%2E%2F%2e%2e%2Finternal/wallets/{id}",
    "/api/coin/..%2f..%2finternal/wallets/{id}",
    "/api/coin/%252e%252e/%252e%252e/internal/wallets/{id}",
    "/api/coin/..;/..;/internal/wallets/{id}",
    "/api/coin/..\\..\\internal/wallets/{id}",
    "/api/coin/..%5c..%5cinternal/wallets/{id}",
    "/api/coin/%c0%ae%c0%ae/%c0%ae%c0%ae/internal/wallets/{id}",
    "/api/coin/%uff0e%uff0e/internal/wallets/{id}",
    "/api/coin/.%00./internal/wallets/{id}",
    "//internal/wallets/{id}",
    "//localhost/internal/wallets/{id}",
    "/api//coin/../../internal/wallets/{id}",
    "/./internal/wallets/{id}",
    "/%69nternal/wallets/{id}",
    "/internal%2fwallets%2f{id}",
    "/api/coin%2f..%2f..%2finternal/wallets/{id}",
    "/api/coin/..",
    "/api/coin/%2e%2e",
    "/metrics",
    "/api/coin/metrics",
    "/api/coin/../../metrics",
    "/api/coin/%2e%2e/%2e%2e/metrics",
    "/api/coin/ready",
    "/api/coin/../../ready",
    "/api/coin/health",
    "/api/coin/openapi.json",
    "/api/coin/docs",
    "http://localhost/internal/wallets/{id}",
    "http://127.0.0.1:5003/internal/wallets/{id}",
    "/_sandbox/calls",
]

OTHER_SPELLINGS = [
    "/API/coin/balance",
    "/api/Coin/balance",
    "//api/coin/balance",
    "/api//coin/balance",
    "/api/coin//balance",
    "/api/./coin/balance",
    "/api/coin/x/../balance",
    "/api/coin;x=1/balance",
    "/api/coin/balance;x=1",
    "/api/coin/balance/",
    "/api/coin/balance%00",
    "/api/coin/balance%20",
    "/api/coin/%62alance",
    "/api%2fcoin%2fbalance",
    "/api\\coin\\balance",
    "/x/../api/coin/balance",
]

UPLOADS = [
    "/uploads/",
    "/uploads",
    "/uploads/.",
    "/uploads/..",
    "/uploads/../secrets.env",
    "/uploads/..%2fsecrets.env",
    "/uploads/%2e%2e/secrets.env",
    "/uploads/%2e%2e%2fsecrets.env",
    "/uploads/....//secrets.env",
    "/uploads/..\\secrets.env",
    "/uploads//etc/passwd",
    "/uploads/%2fetc%2fpasswd",
    "/uploads/C:%5cWindows",
    "/uploads/x%00.png",
    "/uploads/" + "a" * 4000 + ".png",
]


@pytest.mark.parametrize("path", INNER_PATHS + OTHER_SPELLINGS + UPLOADS)
async def test_there_is_no_way_in_however_it_is_spelled(mesh: Mesh, phone: Phone, path: str) -> None:
    target = path.format(id=phone.account.id)
    for method in ("GET", "POST"):
        answer = await ask(mesh.gateway, method, target, f"Authorization: Bearer {phone.account.token}")

        assert answer.status in (400, 404, 405, 414), answer.content
        assert json.loads(answer.body).keys() == ERROR_KEYS
        assert b"balance" not in answer.body
        assert b"location:" not in answer.content.lower()


async def test_the_query_is_passed_on_as_it_came(phone: Phone) -> None:
    data(await phone.send("GET", "/api/coin/transactions?limit=5&page=1&x=%2e%2e%2f&y=a+b&z=%C3%A9"))


IDENTITY_HEADERS = (
    *("X-User-Id", "X-User-ID", "X_User_Id", "X-UserId", "X-User", "X-User-Email", "X-Authenticated-User"),
    *("X-Forwarded-User", "X-Auth-Request-User", "Remote-User", "X-Remote-User", "X-Session-Id", "X-Service-Name"),
)


async def test_identity_headers_change_nobody(new_phone: NewPhone, guest: Caller) -> None:
    ada, bob = await new_phone(), await new_phone()
    claimed = dict.fromkeys(IDENTITY_HEADERS, ada.account.id)
    for headers in (claimed, {**claimed, "Connection": ", ".join(IDENTITY_HEADERS)}):
        profile = data(await bob.send("GET", "/api/user/profile", headers=headers))
        assert profile["id"] == bob.account.id
        error(await guest.send("GET", "/api/user/profile", headers=headers), 401)


async def test_two_tokens_are_none(mesh: Mesh, new_phone: NewPhone) -> None:
    ada, bob = await new_phone(), await new_phone()

    answer = await ask(
        mesh.gateway,
        "GET",
        "/api/user/profile",
        f"Authorization: Bearer {ada.account.token}",
        f"Authorization: Bearer {bob.account.token}",
    )

    assert answer.status in (400, 401)
    assert json.loads(answer.body).keys() == ERROR_KEYS


async def test_a_method_is_what_the_first_line_says(phone: Phone) -> None:
    overrides = {name: "DELETE" for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override")}

    data(await phone.send("GET", "/api/user/profile", headers=overrides, params={"_method": "DELETE"}))
    data(await phone.send("POST", "/api/coin/deduct", json={"amount": 5}, headers=overrides))

    assert await phone.balance() == 95


@pytest.mark.parametrize(
    "framing",
    [
        "Content-Length: 13\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 13",
        "Content-Length: 13\r\nContent-Length: 14",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding : chunked",
        "Content-Length: +13",
        "Content-Length: -1",
        "Content-Length: 0x0d",
        "X: y\r\n folded: z\r\nContent-Length: 13\r\nContent-Length: 1",
    ],
)
async def test_a_request_framed_in_two_ways_gets_one_answer_at_most(mesh: Mesh, phone: Phone, framing: str) -> None:
    hidden = "GET /api/coin/balance HTTP/1.1\r\nHost: localhost\r\n\r\n"
    head = (
        "POST /api/coin/deduct HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {phone.account.token}\r\n{framing}\r\n\r\n"
    )

    answer = await exchange(mesh.gateway, (head + '{"amount": 5}' + "\r\n0\r\n\r\n" + hidden).encode())

    assert answer.answers <= 1, answer.content
    assert answer.status in (0, 400, 405, 411, 413, 501)
    assert await phone.balance() == 100
