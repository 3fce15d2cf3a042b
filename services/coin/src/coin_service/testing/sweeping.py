"""Processes that ask Stripe for what no webhook told, and users who order coins and pay."""

from typing import Any

import httpx

from coin_service.checkouts import CheckoutStore
from coin_service.inbox import InboxStore
from coin_service.ledger import Ledger
from coin_service.prices import Prices
from coin_service.promises import Promises
from coin_service.providers.stripe import StripeProvider
from coin_service.providers.stripe_api import StripeApi
from coin_service.returns import ReturnStore
from coin_service.settlement import SettlementService
from coin_service.store import LedgerStore
from coin_service.stripe_events import StripeEvents
from coin_service.sweeper import StripeSweeper
from coin_service.testing.stripe import FakeStripe
from common.clock import utc_now
from common.duties import DutyStore
from common.mongo import Database
from common.testing import user_headers
from common.testing.auth import FakeAuth

SWEEP_SECONDS = 300.0


def sweeper_of(
    database: Database, auth: FakeAuth, client: httpx.AsyncClient, *, total_seconds: float = 5
) -> StripeSweeper:
    """One process's."""
    prices, checkouts = Prices(currency="usd", minor_units_per_coin=1), CheckoutStore(database)
    api = StripeApi(client, livemode=False, total_seconds=total_seconds)
    ledger = Ledger(LedgerStore(database), auth.client(), signup_bonus_coins=100)
    settlement = SettlementService(ledger, Promises(checkouts, prices))
    returns = ReturnStore(database, look_after_seconds=SWEEP_SECONDS)
    events = StripeEvents(InboxStore(database), StripeProvider(api), settlement, returns)
    return StripeSweeper(DutyStore(database), checkouts, api, returns, events, interval_seconds=SWEEP_SECONDS)


async def order(client: httpx.AsyncClient, user_id: str) -> str:
    """Order 100 coins; return the PaymentIntent."""
    response = await client.post("/api/coin/checkout", json={"amount": 100}, headers=user_headers(user_id))
    name: str = response.json()["data"]["transactionId"]
    return name


def pay(stripe: FakeStripe, name: str, **charge: Any) -> None:
    """The user pays; Stripe's webhook is lost."""
    stripe.pay(name.removeprefix("pi_"), metadata=stripe.objects[name]["metadata"], charge=charge)


async def make_due(database: Database, collection: str) -> None:
    """Let the time pass until everything is looked at again."""
    await database[collection].update_many({"due_at": {"$exists": True}}, {"$set": {"due_at": utc_now()}})


async def balance(client: httpx.AsyncClient, user_id: str) -> int:
    coins: int = (await client.get("/api/coin/balance", headers=user_headers(user_id))).json()["data"]["balance"]
    return coins
