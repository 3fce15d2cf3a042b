"""Purchases that Google Play lists as voided: their coins are taken back, once."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest_asyncio

from coin_service.testing.client import OpenClient
from coin_service.testing.google_play import FakePlay
from common.mongo import Database
from common.testing import user_headers


async def buy(client: httpx.AsyncClient, user_id: str, token: str, amount: int = 100) -> httpx.Response:
    body = {"amount": amount, "paymentMethod": "google_play", "transactionId": token, "productId": "coins_100"}
    return await client.post("/api/coin/buy", json=body, headers=user_headers(user_id))


async def wallet(client: httpx.AsyncClient, user_id: str) -> tuple[int, list[int]]:
    """The balance, and what was taken back, oldest first."""
    headers = user_headers(user_id)
    balance: int = (await client.get("/api/coin/balance", headers=headers)).json()["data"]["balance"]
    listed = (await client.get("/api/coin/transactions?limit=100&type=clawback", headers=headers)).json()["data"]
    return balance, [line["amount"] for line in reversed(listed["transactions"])]


async def looked(play: FakePlay, times: int = 2) -> None:
    """Wait until the list has been asked for so often."""
    before = len(play.asked)
    async with asyncio.timeout(20):
        while True:
            if sum("voidedpurchases" in asked for asked in play.asked[before:]) >= times:
                return
            await asyncio.sleep(0.02)


@pytest_asyncio.fixture
async def sweeping(open_client: OpenClient) -> AsyncIterator[httpx.AsyncClient]:
    """Two processes that look ten times a second."""
    often: dict[str, Any] = {"google_play_sweep_seconds": 0.1}
    async with open_client(**often) as client, open_client(**often):
        yield client


async def test_voided_purchases_are_taken_back_once(
    sweeping: httpx.AsyncClient, play: FakePlay, database: Database, ada: str
) -> None:
    tokens = [play.sell(f"{letter}bcdefghijk.AO-J1Oz_one") for letter in "ABC"]
    for token in tokens:
        assert (await buy(sweeping, ada, token)).status_code == 200
    await sweeping.post("/api/coin/deduct", json={"amount": 250}, headers=user_headers(ada))
    play.voided = [{"purchaseToken": token, "voidedTimeMillis": "1", "orderId": "GPA.1"} for token in tokens]
    play.voided.append({"purchaseToken": "of-somebody-else", "voidedReason": 1})
    await looked(play, 6)
    # 400 were there with the bonus, 250 of them spent: 150 are taken, 150 owed.
    balance, taken = await wallet(sweeping, ada)
    assert (balance, sum(taken)) == (0, -150)
    last = await database["entries"].find_one({"user_id": ada}, sort=[("seq", -1)])
    assert last is not None
    assert last["debt"] == 150


async def test_some_items_of_a_purchase(sweeping: httpx.AsyncClient, play: FakePlay, ada: str) -> None:
    token = play.sell("abcdefghijk.AO-J1Oz_one", quantity=3)
    assert (await buy(sweeping, ada, token, 300)).status_code == 200
    for left in (2, 2, 1):
        play.purchases[token]["refundableQuantity"] = left
        play.voided = [{"purchaseToken": token, "voidedQuantity": 1}]
        await looked(play)
    assert await wallet(sweeping, ada) == (200, [-100, -100])
    play.voided.append({"purchaseToken": token})
    await looked(play)
    assert await wallet(sweeping, ada) == (100, [-100, -100, -100])


async def test_google_away_is_waited_for(sweeping: httpx.AsyncClient, play: FakePlay, ada: str) -> None:
    token = play.sell("abcdefghijk.AO-J1Oz_one")
    await buy(sweeping, ada, token)
    play.answers = [500, b"[]", 403]
    play.voided = [{"purchaseToken": token}]
    await looked(play, 6)
    assert await wallet(sweeping, ada) == (100, [-100])
    play.voided = []
    await looked(play)
    assert await wallet(sweeping, ada) == (100, [-100])  # off the list after 30 days, and for good


async def test_voided_before_it_is_claimed(sweeping: httpx.AsyncClient, play: FakePlay, ada: str) -> None:
    token = play.sell("abcdefghijk.AO-J1Oz_one", purchaseState=1)
    play.voided = [{"purchaseToken": token}]
    await looked(play)
    assert (await buy(sweeping, ada, token)).json()["code"] == "payment_not_completed"
    assert await wallet(sweeping, ada) == (100, [])


async def test_some_items_of_a_purchase_that_google_does_not_show_any_more(
    sweeping: httpx.AsyncClient, play: FakePlay, ada: str
) -> None:
    token = play.sell("abcdefghijk.AO-J1Oz_one", quantity=3)
    assert (await buy(sweeping, ada, token, 300)).status_code == 200
    shown = play.purchases.pop(token)
    # Each with its own items, or the second with all so far: two are proven.
    play.voided = [{"purchaseToken": token, "voidedQuantity": items} for items in (1, 2)]
    await looked(play)
    assert await wallet(sweeping, ada) == (200, [-200])
    play.purchases[token] = shown | {"refundableQuantity": 0}
    await looked(play)
    assert await wallet(sweeping, ada) == (100, [-200, -100])


async def test_list_counts_where_the_purchase_looks_whole(
    sweeping: httpx.AsyncClient, play: FakePlay, ada: str
) -> None:
    token = play.sell("abcdefghijk.AO-J1Oz_one", quantity=3)
    assert (await buy(sweeping, ada, token, 300)).status_code == 200
    play.voided = [{"purchaseToken": token, "voidedQuantity": 1}]
    await looked(play)
    assert await wallet(sweeping, ada) == (300, [-100])
    play.voided = [{"purchaseToken": token, "voidedQuantity": 9}]
    await looked(play)
    assert await wallet(sweeping, ada) == (100, [-100, -200])


async def test_how_many_were_bought_is_not_guessed(
    sweeping: httpx.AsyncClient, play: FakePlay, database: Database, ada: str
) -> None:
    token = play.sell("abcdefghijk.AO-J1Oz_one", quantity=3)
    assert (await buy(sweeping, ada, token, 300)).status_code == 200
    await database["payments"].update_one({}, {"$unset": {"quantity": ""}})
    del play.purchases[token]
    play.voided = [{"purchaseToken": token, "voidedQuantity": 1}]
    await looked(play)
    assert await wallet(sweeping, ada) == (400, [])
    play.voided = [{"purchaseToken": token}]
    await looked(play)
    assert await wallet(sweeping, ada) == (100, [-300])
