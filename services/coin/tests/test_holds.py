"""Holds end once, in whatever order and however often the calls come; over the internal routes and the real client."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr

from coin_service.holds import HoldService
from coin_service.store import LedgerStore
from common.clients.coin import CoinClient, HoldNotFoundError, HoldResolvedError, InsufficientCoinsError
from common.errors import IdempotencyKeyReusedError, ServiceError, UpstreamError
from common.service_auth import ServiceTokenSigner
from common.testing import TEST_SECRETS, service_token, user_headers


@pytest_asyncio.fixture
async def wallet(client: httpx.AsyncClient) -> AsyncIterator[CoinClient]:
    """The coin service as image sees it."""
    secret: SecretStr = TEST_SECRETS["service_secret"]
    yield CoinClient(client, ServiceTokenSigner(secret, caller="image"))


async def state(wallet: CoinClient, user_id: str) -> tuple[int, int]:
    now = await wallet.wallet(user_id)
    return now.balance, now.held


async def test_capture_takes_a_part_and_releases_the_rest(
    wallet: CoinClient, client: httpx.AsyncClient, ada: str
) -> None:
    held = await wallet.hold(ada, 40, key="g1")
    assert (held.balance, held.held) == (60, 40)
    balance = (await client.get("/api/coin/balance", headers=user_headers(ada))).json()["data"]
    assert (balance["balance"], balance["held"]) == (60, 40)

    captured = await wallet.capture(ada, 30, key="g1", reference="generation-1")
    assert (captured.balance, captured.held) == (70, 0)
    lines = (await client.get("/api/coin/transactions", headers=user_headers(ada))).json()["data"]["transactions"]
    assert [(line["type"], line["amount"], line["balanceAfter"], line["reference"]) for line in lines] == [
        ("generate", -30, 70, "generation-1"),
        ("bonus", 100, 100, None),
    ]


async def test_statement_adds_up_while_coins_are_held(wallet: CoinClient, client: httpx.AsyncClient, ada: str) -> None:
    await wallet.hold(ada, 40, key="g1")
    await client.post("/api/coin/deduct", json={"amount": 10}, headers=user_headers(ada))
    await wallet.void(ada, key="g1")
    lines = (await client.get("/api/coin/transactions", headers=user_headers(ada))).json()["data"]["transactions"]
    assert [(line["amount"], line["balanceAfter"]) for line in lines] == [(-10, 90), (100, 100)]


async def test_every_call_may_be_repeated(wallet: CoinClient, ada: str) -> None:
    for _ in range(3):
        await wallet.hold(ada, 40, key="g1")
        assert await state(wallet, ada) == (60, 40)
    for _ in range(3):
        await wallet.capture(ada, 40, key="g1")
        assert await state(wallet, ada) == (60, 0)
    await wallet.hold(ada, 10, key="g2")
    for _ in range(3):
        await wallet.void(ada, key="g2")
        assert await state(wallet, ada) == (60, 0)


async def test_hold_ends_one_way(wallet: CoinClient, ada: str) -> None:
    await wallet.hold(ada, 40, key="captured")
    await wallet.capture(ada, 40, key="captured")
    with pytest.raises(HoldResolvedError):
        await wallet.void(ada, key="captured")
    with pytest.raises(HoldResolvedError):
        await wallet.hold(ada, 40, key="captured")
    await wallet.hold(ada, 20, key="void")
    await wallet.void(ada, key="void")
    with pytest.raises(HoldResolvedError):
        await wallet.capture(ada, 20, key="void")
    with pytest.raises(HoldResolvedError):
        await wallet.hold(ada, 20, key="void")
    assert await state(wallet, ada) == (60, 0)


async def test_late_hold_is_refused_by_the_void_that_overtook_it(wallet: CoinClient, ada: str) -> None:
    await wallet.void(ada, key="g1")
    with pytest.raises(HoldResolvedError):
        await wallet.hold(ada, 40, key="g1")
    with pytest.raises(HoldResolvedError):
        await wallet.capture(ada, 40, key="g1")
    await wallet.void(ada, key="g1")
    assert await state(wallet, ada) == (100, 0)


async def test_hold_and_capture_within_bounds(wallet: CoinClient, ada: str, bob: str) -> None:
    with pytest.raises(InsufficientCoinsError) as refused:
        await wallet.hold(ada, 101, key="g1")
    assert refused.value.details == {"required": 101, "balance": 100}
    await wallet.hold(ada, 100, key="g1")
    with pytest.raises(InsufficientCoinsError):
        await wallet.hold(ada, 1, key="g2")
    with pytest.raises(UpstreamError):  # 422: a caller that does this is broken
        await wallet.capture(ada, 101, key="g1")
    with pytest.raises(UpstreamError):
        await wallet.hold(ada, 99, key="g1")
    with pytest.raises(HoldNotFoundError):
        await wallet.capture(ada, 1, key="unknown")
    with pytest.raises(HoldNotFoundError):
        await wallet.capture(bob, 100, key="g1")
    await wallet.void(bob, key="g1")
    assert await state(wallet, ada) == (0, 100)
    assert await state(wallet, bob) == (100, 0)


async def test_captures_of_different_sizes_are_different_requests(holds: HoldService, ada: str) -> None:
    await holds.hold(ada, 40, key="g1")
    await holds.capture(ada, 30, key="g1", reference=None)
    with pytest.raises(IdempotencyKeyReusedError):
        await holds.capture(ada, 40, key="g1", reference=None)
    assert (await holds.capture(ada, 30, key="g1", reference=None)).balance == 70


async def test_an_ended_hold_ends_no_other(holds: HoldService, ada: str) -> None:
    """While as many coins are held under another key, only the ledger's indexes tell that this hold has ended."""
    for key in ("void", "captured", "open"):
        await holds.hold(ada, 20, key=key)
    await holds.void(ada, key="void")
    await holds.capture(ada, 20, key="captured", reference=None)
    for coins in (20, 21):
        with pytest.raises(HoldResolvedError):
            await holds.capture(ada, coins, key="void", reference=None)
    with pytest.raises(IdempotencyKeyReusedError):
        await holds.capture(ada, 21, key="captured", reference=None)
    with pytest.raises(HoldResolvedError):
        await holds.void(ada, key="captured")
    for repeated in (await holds.capture(ada, 20, key="captured", reference=None), await holds.void(ada, key="void")):
        assert (repeated.balance, repeated.held, repeated.seq) == (60, 20, 6)


async def test_unknown_account(client: httpx.AsyncClient) -> None:
    nobody = "f" * 24
    headers = service_token(audience="coin", scope="coin:read")
    answers = [await client.get(f"/internal/wallets/{nobody}", headers=headers)]
    for path, body in (("holds", {"coins": 1}), ("voids", {})):
        headers = service_token(audience="coin", scope=f"coin:{path[:-1]}")
        answers.append(
            await client.post(f"/internal/{path}", json={"userId": nobody, "key": "k", **body}, headers=headers)
        )
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(404, "account_not_found")] * 3


async def test_each_operation_wants_its_scope(client: httpx.AsyncClient, ada: str) -> None:
    calls = {
        "coin:read": ("GET", f"wallets/{ada}", None),
        "coin:hold": ("POST", "holds", {"userId": ada, "coins": 1, "key": "k"}),
        "coin:capture": ("POST", "captures", {"userId": ada, "coins": 1, "key": "k"}),
        "coin:void": ("POST", "voids", {"userId": ada, "key": "k2"}),
        "coin:refund": ("POST", "refunds", {"userId": ada, "coins": 1, "holdKey": "k", "key": "r"}),
    }
    for wanted, (method, path, body) in calls.items():
        for scope in (*calls, "coin:credit"):
            headers = service_token(audience="coin", scope=scope)
            response = await client.request(method, f"/internal/{path}", json=body, headers=headers)
            assert response.status_code == (200 if scope == wanted else 403), (wanted, scope, response.text)
        response = await client.request(method, f"/internal/{path}", json=body, headers=user_headers(ada))
        assert response.status_code == 401


@pytest.mark.parametrize("key", ["", "x" * 301, "a\u0000b", 7, None])
async def test_keys_are_bounded_texts(client: httpx.AsyncClient, ada: str, key: object) -> None:
    headers = service_token(audience="coin", scope="coin:hold")
    body = {"userId": ada, "coins": 1, "key": key}
    assert (await client.post("/internal/holds", json=body, headers=headers)).status_code == 422


async def test_capture_and_void_race_to_one_end(holds: HoldService, store: LedgerStore, ada: str) -> None:
    for number in range(8):
        key = f"g{number}"
        await holds.hold(ada, 10, key=key)
        calls = [holds.capture(ada, 5, key=key, reference=None), holds.void(ada, key=key)] * 3
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(isinstance(outcome, HoldResolvedError) for outcome in outcomes) == 3
        assert sum(isinstance(outcome, BaseException) for outcome in outcomes) == 3
        last = await store.find_last(ada)
        assert last is not None
        assert (last.balance, last.held) == (100 - 5 * last.counts.get("generate", 0), 0)


async def test_hold_and_void_race(holds: HoldService, store: LedgerStore, ada: str) -> None:
    for number in range(8):
        key = f"g{number}"
        calls = [holds.hold(ada, 10, key=key), holds.void(ada, key=key)] * 2
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        unexpected = [
            outcome
            for outcome in outcomes
            if isinstance(outcome, BaseException) and not isinstance(outcome, HoldResolvedError)
        ]
        assert unexpected == []
        last = await store.find_last(ada)
        assert last is not None
        assert (last.balance, last.held) == (100, 0)
        with pytest.raises(ServiceError):
            await holds.hold(ada, 10, key=key)
