"""Purchases in Google Play: credited, then consumed, whatever fails in between."""

import asyncio
import hashlib
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from coin_service.consumption import ConsumptionService
from coin_service.errors import PaymentProviderUnavailableError
from coin_service.payments import PaymentStore
from coin_service.providers import Payment, PlayItem
from coin_service.providers.google_play import GooglePlayProvider
from coin_service.store import LedgerStore
from coin_service.testing.client import OpenClient
from coin_service.testing.google_play import FakePlay
from common.clock import utc_now
from common.google import GoogleCredentials
from common.mongo import Database
from common.testing import user_headers

TOKEN = "abcdefghijk.AO-J1Oz_one"


async def buy(
    client: httpx.AsyncClient, user_id: str, token: str = TOKEN, amount: int = 100, product: Any = "coins_100"
) -> httpx.Response:
    body = {"amount": amount, "paymentMethod": "google_play", "transactionId": token, "productId": product}
    return await client.post("/api/coin/buy", json=body, headers=user_headers(user_id))


def outcome(response: httpx.Response) -> tuple[int, str | None]:
    return response.status_code, response.json().get("code")


async def test_credited_once_and_consumed(client: httpx.AsyncClient, play: FakePlay, ada: str, bob: str) -> None:
    play.sell(TOKEN)
    first = await buy(client, ada)
    assert first.json()["data"]["balance"] == 200
    assert first.json()["data"]["transaction"]["paymentMethod"] == "google_play"
    assert play.consumed == [TOKEN]
    asked = len(play.asked)
    for token in (TOKEN, TOKEN.upper()):
        assert (await buy(client, ada, token)).json() == first.json()
        assert outcome(await buy(client, bob, token)) == (409, "payment_already_used")
    assert len(play.asked) == asked


@pytest.mark.parametrize(
    ("purchase", "amount", "product", "expected"),
    [
        ({"purchaseState": 2}, 100, "coins_100", (402, "payment_not_completed")),
        ({"purchaseState": 1}, 100, "coins_100", (402, "payment_not_completed")),
        ({"quantity": 2, "refundableQuantity": 1}, 200, "coins_100", (402, "payment_not_completed")),
        ({}, 500, "coins_100", (422, "amount_mismatch")),
        ({}, 99, "coins_100", (422, "amount_mismatch")),
        ({"quantity": 2}, 100, "coins_100", (422, "amount_mismatch")),
        ({"productId": "coins_100"}, 500, "coins_500", (404, "payment_not_found")),
        ({}, 100, "coins_7", (422, "validation_failed")),
        ({}, 100, None, (422, "validation_failed")),
        ({}, 100, "../coins_100", (422, "validation_failed")),
        ({"obfuscatedExternalAccountId": "somebody-else"}, 100, "coins_100", (409, "payment_already_used")),
        ({"purchaseState": "0"}, 100, "coins_100", (502, "payment_provider_unavailable")),
        ({"quantity": 0}, 100, "coins_100", (502, "payment_provider_unavailable")),
    ],
)
async def test_what_buys_nothing(
    client: httpx.AsyncClient,
    play: FakePlay,
    ada: str,
    purchase: dict[str, Any],
    amount: int,
    product: str | None,
    expected: tuple[int, str],
) -> None:
    play.sell(TOKEN, **purchase)
    assert outcome(await buy(client, ada, TOKEN, amount, product)) == expected
    assert play.consumed == []


async def test_quantity_counts(client: httpx.AsyncClient, play: FakePlay, ada: str) -> None:
    play.sell(TOKEN, quantity=3, refundableQuantity=3)
    assert (await buy(client, ada, TOKEN, 300)).json()["data"]["balance"] == 400


@pytest.mark.parametrize("hashed", [True, False])
async def test_account_that_agrees(client: httpx.AsyncClient, play: FakePlay, ada: str, hashed: bool) -> None:
    account = hashlib.sha256(ada.encode()).hexdigest() if hashed else ada
    play.sell(TOKEN, obfuscatedExternalAccountId=account)
    assert (await buy(client, ada)).status_code == 200


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([400], (404, "payment_not_found")),
        ([404], (404, "payment_not_found")),
        ([410], (404, "payment_not_found")),
        ([403], (502, "payment_provider_unavailable")),
        ([429], (502, "payment_provider_unavailable")),
        ([401, 401], (502, "payment_provider_unavailable")),
        ([500, 503, httpx.ReadTimeout("x")], (502, "payment_provider_unavailable")),
        ([b"{}"], (502, "payment_provider_unavailable")),
        ([httpx.Response(404, text="<html>not here")], (502, "payment_provider_unavailable")),
        ([httpx.Response(410, json={"error": "gone"})], (502, "payment_provider_unavailable")),
        ([500, 409], (200, None)),
        ([401], (200, None)),
    ],
)
async def test_googles_faults(
    client: httpx.AsyncClient, play: FakePlay, ada: str, answers: list[Any], expected: tuple[int, str | None]
) -> None:
    play.sell(TOKEN)
    play.answers = answers
    assert outcome(await buy(client, ada)) == expected


async def test_tokens_stay_one_segment_of_the_path(client: httpx.AsyncClient, play: FakePlay, ada: str) -> None:
    assert outcome(await buy(client, ada, "a/../../b?c#d")) == (404, "payment_not_found")
    assert play.asked[-1].endswith("/tokens/a%2F..%2F..%2Fb%3Fc%23d")
    asked = len(play.asked)
    for token in (".", "..", "..."):
        assert outcome(await buy(client, ada, token)) == (404, "payment_not_found")
    assert len(play.asked) == asked


@pytest.mark.parametrize("missing", ["google_application_credentials", "google_play_packages"])
async def test_not_configured(open_client: OpenClient, play: FakePlay, ada: str, missing: str) -> None:
    async with open_client(**{missing: None if missing.startswith("google_a") else ()}) as client:
        assert outcome(await buy(client, ada)) == (502, "payment_provider_unavailable")
    assert play.asked == []


async def test_failed_consumption_is_made_up_for_by_a_repeat(
    client: httpx.AsyncClient, play: FakePlay, ada: str
) -> None:
    purchase = httpx.Response(200, json={"purchaseState": 0, "consumptionState": 0})
    play.sell(TOKEN)
    play.answers = [purchase, 500, purchase]
    assert (await buy(client, ada)).json()["data"]["balance"] == 200
    assert play.consumed == []
    assert (await buy(client, ada)).json()["data"]["balance"] == 200
    assert play.consumed == [TOKEN]


@pytest_asyncio.fixture
async def payments(database: Database) -> PaymentStore:
    payments = PaymentStore(database)
    await payments.ensure_schema()
    return payments


@pytest.fixture
def provider(play: FakePlay, key_file: Path) -> GooglePlayProvider:
    return GooglePlayProvider(
        httpx.AsyncClient(transport=play.transport, base_url="http://google.test"),
        GoogleCredentials.from_file(key_file, ["scope"], transport=play.token_transport),
        package="com.example.app",
        products={"coins_100": 100},
        accepts_test_purchases=False,
        total_seconds=5,
    )


async def run_until(condition: Any, service: ConsumptionService) -> None:
    task = asyncio.create_task(service.run())
    deadline = time.monotonic() + 20
    try:
        while not await condition():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def make_due(database: Database, **changes: Any) -> None:
    await database["payments"].update_many({}, {"$set": {"due_at": utc_now() - timedelta(seconds=1), **changes}})


async def test_consumption_after_a_crash(
    open_client: OpenClient,
    play: FakePlay,
    payments: PaymentStore,
    provider: GooglePlayProvider,
    store: LedgerStore,
    database: Database,
    ada: str,
) -> None:
    play.sell(TOKEN)
    purchase = httpx.Response(200, json={"purchaseState": 0, "consumptionState": 0})
    async with open_client() as client:
        play.answers = [purchase, 503, httpx.ConnectError("x"), 503, 503]
        await buy(client, ada)
    assert play.consumed == []
    play.answers = []
    await make_due(database)

    async def consumed() -> bool:
        document = await database["payments"].find_one({"consumed_at": {"$ne": None}})
        return document is not None and "due_at" not in document

    await run_until(consumed, ConsumptionService(payments, store, provider, poll_seconds=0.05))
    assert play.consumed == [TOKEN]
    assert await payments.claim() is None


async def test_purchase_never_credited_is_not_consumed(
    play: FakePlay, payments: PaymentStore, provider: GooglePlayProvider, store: LedgerStore, database: Database
) -> None:
    payment = Payment("google_play:x", completed=True, foreign=False, matches=True, transaction_id="x")
    await payments.add(payment, PlayItem("coins_100", play.sell("x")))
    service = ConsumptionService(payments, store, provider, poll_seconds=0.05)
    await make_due(database)

    async def postponed() -> bool:
        document = await database["payments"].find_one({})
        return document is not None and document["due_at"] > utc_now() + timedelta(seconds=1000)

    await run_until(postponed, service)

    async def forgotten() -> bool:
        # Again each time: a claim of the task just cancelled may still be on its way and take the lease.
        await make_due(database, created_at=utc_now() - timedelta(hours=2))
        return await database["payments"].find_one({}) is None

    await run_until(forgotten, service)
    assert play.consumed == []


async def test_noted_again_is_not_forgotten(payments: PaymentStore, database: Database) -> None:
    payment, item = (
        Payment("google_play:x", completed=True, foreign=False, matches=True, transaction_id="x"),
        PlayItem("coins_100", "x"),
    )
    await payments.add(payment, item)
    await make_due(database, created_at=utc_now() - timedelta(hours=2))
    claimed = await payments.claim()
    assert claimed is not None
    await payments.add(payment, item)
    await payments.remove(claimed)
    assert await payments.claim(payment.id) is not None
    await payments.set_consumed(payment.id)
    await payments.add(payment, item)
    assert await payments.claim(payment.id) is None


async def test_test_purchases_only_where_they_are_accepted(
    provider: GooglePlayProvider, client: httpx.AsyncClient, play: FakePlay, ada: str
) -> None:
    from coin_service.providers import Purchase

    play.sell(TOKEN, purchaseType=0)
    assert not (await provider.get_payment(Purchase(ada, 100, TOKEN, "coins_100"))).completed
    play.sell(TOKEN, purchaseType=1)
    assert (await provider.get_payment(Purchase(ada, 100, TOKEN, "coins_100"))).completed
    play.sell(TOKEN, purchaseType=0)
    assert (await buy(client, ada)).status_code == 200


async def test_consume_that_was_done_before(provider: GooglePlayProvider, play: FakePlay) -> None:
    play.sell(TOKEN, consumptionState=1)
    await provider.consume(PlayItem("coins_100", TOKEN))
    play.answers = [410]
    await provider.consume(PlayItem("coins_100", TOKEN))


async def test_a_page_of_something_in_between_consumes_nothing(provider: GooglePlayProvider, play: FakePlay) -> None:
    play.sell(TOKEN)
    play.answers = [httpx.Response(404, text="<html>not here")]
    with pytest.raises(PaymentProviderUnavailableError):
        await provider.consume(PlayItem("coins_100", TOKEN))
    await provider.consume(PlayItem("coins_100", TOKEN))
    assert play.consumed == [TOKEN]
