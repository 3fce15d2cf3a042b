"""One service calling another: what is sent, what is repeated, and what an answer becomes."""

import json
from collections.abc import Callable

import httpx
import pytest

from common.clients.coin import (
    HOLD_SCOPE,
    CoinClient,
    HoldNotCapturedError,
    HoldNotFoundError,
    HoldResolvedError,
    InsufficientCoinsError,
    RefundTooLargeError,
)
from common.clients.subscription import Entitlement, SubscriptionClient
from common.clock import utc_now
from common.errors import ServiceUnavailableError, UpstreamError, UpstreamTimeoutError, error_body
from common.request_id import bind_request
from common.service_auth import ServiceTokenSigner, ServiceTokenVerifier
from common.testing import TEST_SECRETS, FakeCoin

USER = "0123456789abcdef01234567"
Answer = Callable[[httpx.Request], httpx.Response]


def coin_client(answer: Answer) -> CoinClient:
    http = httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://coin.test")
    return CoinClient(http, ServiceTokenSigner(TEST_SECRETS["service_secret"], caller="image"))


def wallet(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"success": True, "data": {"balance": 90, "held": 10}})


async def test_a_call_carries_token_request_id_and_trace() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return wallet(request)

    bind_request("phone-7", "00-" + "a" * 32 + "-" + "b" * 16 + "-01")
    assert (await coin_client(answer).hold(USER, 10, key="generation:1")).balance == 90

    request = seen[0]
    token = request.headers["Authorization"].removeprefix("Bearer ")
    verifier = ServiceTokenVerifier(TEST_SECRETS["service_secret"], audience="coin")
    assert verifier.verify(token, scope=HOLD_SCOPE) == "image"
    assert request.headers["X-Request-Id"] == "phone-7"
    assert request.headers["traceparent"].startswith("00-" + "a" * 32)
    assert request.headers["traceparent"].endswith("-01")
    assert "b" * 16 not in request.headers["traceparent"]
    assert json.loads(request.content) == {"userId": USER, "coins": 10, "key": "generation:1"}


async def test_a_known_error_crosses_back_as_itself() -> None:
    details = {"required": 10, "balance": 3}

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(402, json=error_body("insufficient_coins", "No.", details, "r"))

    with pytest.raises(InsufficientCoinsError) as error:
        await coin_client(answer).hold(USER, 10, key="k")
    assert error.value.details == details


@pytest.mark.parametrize(
    ("first", "raised"),
    [
        (httpx.ConnectError("refused"), ServiceUnavailableError),
        (httpx.ConnectTimeout("slow"), ServiceUnavailableError),
        (httpx.ReadTimeout("slow"), UpstreamTimeoutError),
        (httpx.RemoteProtocolError("broken off"), UpstreamTimeoutError),
        (httpx.Response(503, json=error_body("service_unavailable", "Away.", None, "r")), ServiceUnavailableError),
    ],
)
async def test_what_may_pass_is_tried_three_times_under_the_same_key(
    first: Exception | httpx.Response, raised: type[Exception]
) -> None:
    def failing(times: int) -> tuple[Answer, list[bytes]]:
        bodies: list[bytes] = []

        def answer(request: httpx.Request) -> httpx.Response:
            bodies.append(request.content)
            if len(bodies) > times:
                return wallet(request)
            if isinstance(first, Exception):
                raise first
            return first

        return answer, bodies

    answer, bodies = failing(2)
    assert (await coin_client(answer).hold(USER, 10, key="k")).held == 10
    assert len(bodies) == 3
    assert len(set(bodies)) == 1

    answer, bodies = failing(3)
    with pytest.raises(raised):
        await coin_client(answer).hold(USER, 10, key="k")
    assert len(bodies) == 3


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json=[1]),
        httpx.Response(200, json={"success": True}),
        httpx.Response(200, json={"success": True, "data": {"balance": "many"}}),
        httpx.Response(401, json=error_body("invalid_token", "No.", None, "r")),
        httpx.Response(404, json=error_body("not_found", "No.", None, "r")),
        httpx.Response(500, json=error_body("internal_error", "No.", None, "r")),
        httpx.Response(302, headers={"Location": "http://127.0.0.1:1/"}),
    ],
)
async def test_what_cannot_be_used_is_not_repeated(response: httpx.Response) -> None:
    calls = 0

    def answer(_: httpx.Request) -> httpx.Response:
        nonlocal calls
        calls += 1
        return response

    with pytest.raises(UpstreamError):
        await coin_client(answer).wallet(USER)
    assert calls == 1


async def test_odd_ids_stay_one_segment_of_the_path() -> None:
    paths: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.raw_path)
        return wallet(request)

    await coin_client(answer).wallet("../holds?x=/")
    assert paths == [b"/internal/wallets/..%2Fholds%3Fx%3D%2F"]


async def test_an_entitlement_holds_until_its_end() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        data = {"active": True, "until": "2126-01-01T00:00:00.000Z"}
        return httpx.Response(200, json={"success": True, "data": data})

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://subscription.test")
    client = SubscriptionClient(http, ServiceTokenSigner(TEST_SECRETS["service_secret"], caller="image"))
    assert (await client.entitlement(USER)).covers(utc_now())
    assert not Entitlement(active=True, until=utc_now()).covers(utc_now())
    assert not Entitlement(active=False, until=None).covers(utc_now())


async def test_the_stand_in_keeps_the_rules_of_holds() -> None:
    coin = FakeCoin(balance=25)
    client = coin.client()
    await client.hold(USER, 20, key="a")
    await client.hold(USER, 20, key="a")
    assert (coin.balance, coin.held) == (5, 20)
    with pytest.raises(InsufficientCoinsError):
        await client.hold(USER, 6, key="b")
    await client.capture(USER, 10, key="a")
    await client.capture(USER, 10, key="a")
    assert (coin.balance, coin.held) == (15, 0)
    await client.void(USER, key="late")
    assert coin.balance == 15


async def test_the_stand_in_keeps_the_rules_of_refunds() -> None:
    coin = FakeCoin(balance=25)
    client = coin.client()
    await client.hold(USER, 20, key="a")
    with pytest.raises(HoldNotCapturedError):
        await client.refund(USER, 1, hold_key="a", key="r1")
    await client.capture(USER, 10, key="a")
    for _ in range(2):
        assert (await client.refund(USER, 6, hold_key="a", key="r1")).balance == 21
    with pytest.raises(RefundTooLargeError):
        await client.refund(USER, 5, hold_key="a", key="r2")
    await client.refund(USER, 4, hold_key="a", key="r2")
    assert (coin.balance, coin.refunded) == (25, {"a": 10})
    with pytest.raises(UpstreamError):
        await client.refund(USER, 5, hold_key="a", key="r2")
    with pytest.raises(HoldNotFoundError):
        await client.refund(USER, 1, hold_key="b", key="r3")
    await client.void(USER, key="b")
    with pytest.raises(HoldResolvedError):
        await client.refund(USER, 1, hold_key="b", key="r3")
