"""Stripe's webhooks as it sends them, and what came of them."""

import asyncio
import hashlib
import hmac
import json
import time
from typing import Any

import httpx

from coin_service.testing.stripe import FakeStripe
from common.mongo import Database
from common.testing import user_headers

KEY = "3PabcDEFghij"
SECRET = "whsec_of_the_tests_0123456789abcdef"
PATH = "/api/coin/webhooks/stripe"


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


SUCCEEDED = event(
    "evt_paid", "payment_intent.succeeded", id=f"pi_{KEY}", client_secret="pi_secret", receipt_email="a@b.c"
)
REFUNDED = event("evt_refunded", "charge.refunded", id=f"ch_{KEY}", payment_intent=f"pi_{KEY}")
DISPUTED = event("evt_disputed", "charge.dispute.created", id="dp_1", charge=f"ch_{KEY}", payment_intent=None)
