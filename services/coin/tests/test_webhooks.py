"""Stripe's webhooks: proven, kept, and worked off however often and in whatever order they come."""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from coin_service.stripe_events import subject
from coin_service.testing.client import OpenClient
from coin_service.testing.stripe import FakeStripe
from coin_service.testing.webhooks import (
    DISPUTED,
    KEY,
    SECRET,
    SUCCEEDED,
    event,
    paid,
    send,
    sign,
    wallet,
    worked_off,
)
from common.mongo import Database
from common.testing import user_headers


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
