"""Stripe's webhooks: proven, kept, and worked off however often and in whatever order they come."""

import asyncio
import hashlib
import hmac
import json
import random
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from coin_service.errors import InvalidSignatureError
from coin_service.stripe_events import subject
from coin_service.stripe_signature import verify_signature
from coin_service.testing.client import OpenClient
from coin_service.testing.stripe import FakeStripe
from common.clock import utc_now
from common.mongo import Database
from common.testing import user_headers

KEY = "3PabcDEFghij"
SECRET = "whsec_of_the_tests_0123456789abcdef"
PATH = "/api/coin/webhooks/stripe"
VECTOR = b'{"id":"evt_1","object":"event"}'
VECTOR_V1 = "0c8670ed117751cc551a20e35839447075c42800ea3cf3e8a2fbda99cd1e6edd"


def sign(body: bytes, *, secret: str = SECRET, at: float | None = None) -> str:
    seconds = int(time.time() if at is None else at)
    return f"t={seconds},v1={hmac.new(secret.encode(), f'{seconds}.'.encode() + body, hashlib.sha256).hexdigest()}"


def event(event_id: str, type_: str, **found: Any) -> bytes:
    return json.dumps({"id": event_id, "object": "event", "type": type_, "data": {"object": found}}).encode()


async def send(client: httpx.AsyncClient, body: bytes, signature: str | None = None) -> httpx.Response:
    headers = {"Stripe-Signature": sign(body) if signature is None else signature}
    return await client.post(PATH, content=body, headers=headers)


async def worked_off(database: Database) -> None:
    async with asyncio.timeout(20):
        while True:
            if not await database["inbox"].count_documents({"state": {"$ne": "done"}}):
                return
            await asyncio.sleep(0.02)


async def wallet(client: httpx.AsyncClient, user_id: str) -> tuple[int, list[tuple[str, int]]]:
    """The balance, and the statement, oldest first."""
    headers = user_headers(user_id)
    balance: int = (await client.get("/api/coin/balance", headers=headers)).json()["data"]["balance"]
    listed = (await client.get("/api/coin/transactions?limit=100", headers=headers)).json()["data"]["transactions"]
    assert sum(line["amount"] for line in listed) == balance
    return balance, [(line["type"], line["amount"]) for line in reversed(listed)]


def paid(stripe: FakeStripe, user_id: str, key: str = KEY, **more: Any) -> str:
    return stripe.pay(key, metadata={"user_id": user_id, "coins": "100"}, **more)


@pytest_asyncio.fixture
async def webhooks(open_client: OpenClient) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(stripe_webhook_secret=SECRET) as opened:
        yield opened


SUCCEEDED = event(
    "evt_paid", "payment_intent.succeeded", id=f"pi_{KEY}", client_secret="pi_secret", receipt_email="a@b.c"
)
REFUNDED = event("evt_refunded", "charge.refunded", id=f"ch_{KEY}", payment_intent=f"pi_{KEY}")
DISPUTED = event("evt_disputed", "charge.dispute.created", id="dp_1", charge=f"ch_{KEY}", payment_intent=None)


def test_signature_of_the_vector() -> None:
    verify_signature(VECTOR, f"t=1700000000,v1={VECTOR_V1}", "whsec_test_secret", now=1700000300)
    rolled = f"t=1700000000,v1={'0' * 64},v1={VECTOR_V1},v0=abc"
    verify_signature(VECTOR, rolled, "whsec_test_secret", now=1699999700)


@pytest.mark.parametrize(
    ("header", "now"),
    [
        (f"t=1700000000,v1={VECTOR_V1}", 1700000301),
        (f"t=1700000000,v1={VECTOR_V1}", 1699999699),
        (f"t=1700000001,v1={VECTOR_V1}", 1700000000),
        (f"t=1700000000,v0={VECTOR_V1}", 1700000000),
        (f"t=1700000000,v1={VECTOR_V1.upper()}", 1700000000),
        (f"t=1700000000,v1={VECTOR_V1[:-1]}", 1700000000),
        (f"t=1700000000,t=1700000000,v1={VECTOR_V1}", 1700000000),
        (f"t=+1700000000,v1={VECTOR_V1}", 1700000000),
        (f"t=,v1={VECTOR_V1}", 0),
        (f"v1={VECTOR_V1}", 1700000000),
        (f"t=1700000000,v1=\xe9{VECTOR_V1}", 1700000000),
        ("t=1700000000", 1700000000),
        ("", 1700000000),
    ],
)
def test_signature_that_does_not_fit(header: str, now: float) -> None:
    with pytest.raises(InvalidSignatureError):
        verify_signature(VECTOR, header, "whsec_test_secret", now=now)


async def test_payment_is_credited_though_the_app_died(
    webhooks: httpx.AsyncClient, stripe: FakeStripe, database: Database, ada: str
) -> None:
    paid(stripe, ada)
    response = await send(webhooks, SUCCEEDED)
    assert (response.status_code, response.json()["data"]) == (200, {"received": True, "duplicate": False})
    await worked_off(database)
    assert await wallet(webhooks, ada) == (200, [("bonus", 100), ("buy", 100)])
    body = {"amount": 100, "paymentMethod": "stripe", "transactionId": f"ch_{KEY}"}
    claimed = await webhooks.post("/api/coin/buy", json=body, headers=user_headers(ada))
    assert (claimed.status_code, claimed.json()["data"]["balance"]) == (200, 200)
    kept = await database["inbox"].find_one({})
    assert kept is not None
    assert "secret" not in str(kept)
    assert "a@b.c" not in str(kept)


@pytest.mark.parametrize(
    "forge",
    [
        lambda: "",
        lambda: "t=1,v1=00",
        lambda: sign(SUCCEEDED, secret="whsec_another"),
        lambda: sign(b"{}"),
    ],
    ids=["none", "made up", "another secret", "another body"],
)
async def test_forged_event_changes_nothing(
    webhooks: httpx.AsyncClient, stripe: FakeStripe, database: Database, ada: str, forge: Callable[[], str]
) -> None:
    paid(stripe, ada)
    response = await send(webhooks, SUCCEEDED, forge())
    assert (response.status_code, response.json()["code"]) == (400, "invalid_signature")
    assert await database["inbox"].count_documents({}) == 0


async def test_old_event_is_refused(webhooks: httpx.AsyncClient) -> None:
    for at in (time.time() - 400, time.time() + 400):
        assert (await send(webhooks, SUCCEEDED, sign(SUCCEEDED, at=at))).json()["code"] == "invalid_signature"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b'{"id":"evt_1","type":7}', b'{"id":"$x","type":"a"}', b"[" * 9999]
)
async def test_signed_but_no_event(webhooks: httpx.AsyncClient, body: bytes) -> None:
    response = await send(webhooks, body)
    assert (response.status_code, response.json()["code"]) == (400, "bad_request")


async def test_without_a_secret(client: httpx.AsyncClient) -> None:
    response = await send(client, SUCCEEDED)
    assert (response.status_code, response.json()["code"]) == (503, "webhooks_not_configured")


async def test_large_and_unknown_events_are_kept_and_done(webhooks: httpx.AsyncClient, database: Database) -> None:
    large = event("evt_large", "customer.created", id="cus_1", text="x" * 1_000_000, number=10**30)
    assert (await send(webhooks, large)).status_code == 200
    odd: list[dict[str, Any]] = [{}, {"id": 7}, {"id": "pi_../x"}, {"id": "in_12345678"}]
    for number, found in enumerate(odd):
        assert (await send(webhooks, event(f"evt_{number}", "charge.refunded", **found))).status_code == 200
    assert (await send(webhooks, b'{"id":"evt_x","type":"charge.refunded","data":[]}')).status_code == 200
    await worked_off(database)


async def test_repeated_event_says_so(
    webhooks: httpx.AsyncClient, stripe: FakeStripe, database: Database, ada: str
) -> None:
    paid(stripe, ada)
    answers = await asyncio.gather(*(send(webhooks, SUCCEEDED) for _ in range(6)))
    assert sorted(answer.json()["data"]["duplicate"] for answer in answers) == [False] + [True] * 5
    await worked_off(database)
    assert (await wallet(webhooks, ada))[0] == 200


@pytest.mark.parametrize("seed", range(4))
async def test_two_processes_any_order_and_a_claim_at_the_same_time(
    open_client: OpenClient, stripe: FakeStripe, database: Database, ada: str, seed: int
) -> None:
    drawn = random.Random(seed)
    async with open_client(stripe_webhook_secret=SECRET) as one, open_client(stripe_webhook_secret=SECRET) as other:
        paid(stripe, ada)
        body = {"amount": 100, "paymentMethod": "stripe", "transactionId": f"pi_{KEY}"}
        claims = [each.post("/api/coin/buy", json=body, headers=user_headers(ada)) for each in (one, other)]
        news = [event(f"evt_{n}", "payment_intent.succeeded", id=f"pi_{KEY}") for n in range(3)]
        calls = [*claims, *(send(drawn.choice((one, other)), each) for each in news * 2)]
        drawn.shuffle(calls)
        assert {answer.status_code for answer in await asyncio.gather(*calls)} == {200}
        await worked_off(database)
        assert await wallet(one, ada) == (200, [("bonus", 100), ("buy", 100)])

        stripe.refund(KEY, 100)
        later = [*(event(f"evt_r{n}", "charge.refunded", id=f"ch_{KEY}") for n in range(3)), DISPUTED, *news]
        drawn.shuffle(later)
        await asyncio.gather(*(send(drawn.choice((one, other)), each) for each in later * 2))
        await worked_off(database)
        assert await wallet(other, ada) == (100, [("bonus", 100), ("buy", 100), ("clawback", -100)])


async def test_refund_that_overtakes_its_payment(
    webhooks: httpx.AsyncClient, stripe: FakeStripe, database: Database, ada: str
) -> None:
    paid(stripe, ada)
    stripe.refund(KEY, 100)
    await send(webhooks, REFUNDED)
    await worked_off(database)
    await send(webhooks, SUCCEEDED)
    await worked_off(database)
    assert await wallet(webhooks, ada) == (100, [("bonus", 100)])
    body = {"amount": 100, "paymentMethod": "stripe", "transactionId": f"pi_{KEY}"}
    for key in ("k1", "k1", "k2"):
        headers = user_headers(ada) | {"Idempotency-Key": key}
        claimed = await webhooks.post("/api/coin/buy", json=body, headers=headers)
        assert (claimed.status_code, claimed.json()["code"]) == (402, "payment_not_completed")


async def test_refund_between_the_look_and_the_credit_of_a_claim(
    webhooks: httpx.AsyncClient, stripe: FakeStripe, database: Database, ada: str
) -> None:
    """The app's claim has seen the money; before it credits, the refund's event is worked off."""
    paid(stripe, ada)
    asked, go_on = asyncio.Event(), asyncio.Event()
    answer = stripe._answer

    async def slow(request: httpx.Request) -> httpx.Response:
        found = answer(request)
        stripe.handler = None
        asked.set()
        await go_on.wait()
        return found

    stripe.handler = slow
    body = {"amount": 100, "paymentMethod": "stripe", "transactionId": f"pi_{KEY}"}
    claim = asyncio.create_task(webhooks.post("/api/coin/buy", json=body, headers=user_headers(ada)))
    await asked.wait()
    stripe.refund(KEY, 100)
    await send(webhooks, REFUNDED)
    await worked_off(database)
    go_on.set()
    assert (await claim).status_code == 402
    assert await wallet(webhooks, ada) == (100, [("bonus", 100)])


async def test_partial_refunds_then_a_dispute(
    webhooks: httpx.AsyncClient, stripe: FakeStripe, database: Database, ada: str
) -> None:
    paid(stripe, ada)
    await send(webhooks, SUCCEEDED)
    await worked_off(database)
    await webhooks.post("/api/coin/deduct", json={"amount": 120}, headers=user_headers(ada))
    for number, refunded in enumerate((10, 25)):
        stripe.refund(KEY, refunded)
        await send(webhooks, event(f"evt_{number}", "charge.refunded", id=f"ch_{KEY}"))
        await worked_off(database)
    assert (await wallet(webhooks, ada))[1][-2:] == [("clawback", -10), ("clawback", -15)]

    stripe.objects[f"ch_{KEY}"]["disputed"] = True
    stripe.disputes[f"ch_{KEY}"] = ["needs_response"]
    await send(webhooks, DISPUTED)
    await worked_off(database)
    balance, lines = await wallet(webhooks, ada)
    assert (balance, lines[-1]) == (0, ("clawback", -55))  # and 20 are owed

    stripe.pay("4Another0000", amount=50)
    body = {"amount": 50, "paymentMethod": "stripe", "transactionId": "pi_4Another0000"}
    bought = await webhooks.post("/api/coin/buy", json=body, headers=user_headers(ada) | {"Idempotency-Key": "k"})
    assert bought.json()["data"]["balance"] == 30
    again = await webhooks.post("/api/coin/buy", json=body, headers=user_headers(ada) | {"Idempotency-Key": "k"})
    assert again.json() == bought.json()
    assert (await wallet(webhooks, ada))[1][-2:] == [("buy", 50), ("clawback", -20)]

    stripe.disputes[f"ch_{KEY}"] = ["won"]
    won = event("evt_won", "charge.dispute.closed", id="dp_1", charge=f"ch_{KEY}", payment_intent=f"pi_{KEY}")
    await send(webhooks, won)
    await worked_off(database)
    balance, lines = await wallet(webhooks, ada)
    assert (balance, lines[-1]) == (105, ("refund", 75))


async def test_refund_of_what_nobody_has_claimed_is_kept_for_a_while(
    webhooks: httpx.AsyncClient, stripe: FakeStripe, database: Database, ada: str
) -> None:
    stripe.pay(KEY)  # no checkout of ours: whose it is only the app knows
    stripe.refund(KEY, 40)
    await send(webhooks, REFUNDED)
    async with asyncio.timeout(20):
        while True:
            kept = await database["inbox"].find_one({"state": "retry", "error": "postponed"})
            if kept is not None:
                break
            await asyncio.sleep(0.02)
    old = utc_now() - timedelta(seconds=61)
    await database["inbox"].update_one({}, {"$set": {"received_at": old, "next_at": old}})
    await worked_off(database)
    assert await wallet(webhooks, ada) == (100, [("bonus", 100)])


async def test_stripe_away_is_waited_for(
    webhooks: httpx.AsyncClient, stripe: FakeStripe, database: Database, ada: str
) -> None:
    paid(stripe, ada)
    stripe.answers = [500] * 3
    await send(webhooks, SUCCEEDED)
    await worked_off(database)
    assert (await wallet(webhooks, ada))[0] == 200
    kept = await database["inbox"].find_one({})
    assert kept is not None
    assert kept["attempts"] == 2


@pytest.mark.parametrize(
    ("type_", "found", "name"),
    [
        ("payment_intent.succeeded", {"id": "pi_12345678"}, "pi_12345678"),
        ("charge.refunded", {"id": "ch_12345678", "payment_intent": {"id": "pi_12345678"}}, "pi_12345678"),
        ("charge.refunded", {"id": "py_12345678", "payment_intent": None}, "py_12345678"),
        ("refund.failed", {"id": "re_12345678", "charge": "ch_12345678"}, "ch_12345678"),
        ("charge.dispute.closed", {"id": "dp_12345678", "charge": "ch_12345678"}, "ch_12345678"),
        ("payment_intent.created", {"id": "pi_12345678"}, None),
        ("customer.created", {"id": "pi_12345678"}, None),
    ],
)
def test_what_an_event_is_about(type_: str, found: dict[str, Any], name: str | None) -> None:
    assert subject(type_, {"data": {"object": found}}) == name
