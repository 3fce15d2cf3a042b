"""The coin service's application."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI

from coin_service import checkout_routes, internal_routes, reward_routes, routes, webhook_routes
from coin_service.audit.schedule import AuditSchedule
from coin_service.checkout_service import CheckoutService
from coin_service.checkouts import CheckoutStore
from coin_service.consumption import ConsumptionService
from coin_service.earning import EarningService
from coin_service.holds import HoldService
from coin_service.inbox import InboxStore
from coin_service.inbox_worker import InboxWorker
from coin_service.ledger import Ledger
from coin_service.payments import PaymentStore
from coin_service.play_events import PlayEvents
from coin_service.play_voids import PlayVoids
from coin_service.prices import Prices
from coin_service.promises import Promises
from coin_service.providers.stripe import StripeProvider
from coin_service.purchases import PurchaseService
from coin_service.refunds import RefundService
from coin_service.returns import ReturnStore
from coin_service.rewards import RewardService
from coin_service.service import CoinService
from coin_service.settings import Settings
from coin_service.settlement import SettlementService
from coin_service.store import LedgerStore
from coin_service.stripe_events import StripeEvents
from coin_service.sweeper import StripeSweeper
from coin_service.vendors import Roads, open_vendors
from common.app import create_service_app
from common.clients.auth import AuthClient
from common.duties import DutyStore
from common.http import open_service_client
from common.logging import get_logger
from common.mongo import open_database
from common.settings import load_settings

logger = get_logger(__name__)

INBOX_WORKERS = 4
"""In each process; they mostly wait for vendors."""


def create_app(settings: Settings | None = None, *, roads: Roads | None = None) -> FastAPI:
    """Build the application; its resources open with its lifespan."""
    settings = settings or load_settings(Settings)
    roads = roads or Roads()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with (
            open_database(settings) as database,
            open_service_client(settings.auth_url, settings, transport=roads.auth) as auth,
            open_vendors(settings, roads) as vendors,
        ):
            entries, payments, inbox = LedgerStore(database), PaymentStore(database), InboxStore(database)
            await entries.ensure_schema()
            await payments.ensure_schema()
            await inbox.ensure_schema()
            checkouts = CheckoutStore(database)
            await checkouts.ensure_schema()
            ledger = Ledger(
                entries,
                AuthClient(auth, app.state.service_token_signer),
                signup_bonus_coins=settings.signup_bonus_coins,
            )
            prices = Prices(currency=settings.coin_currency, minor_units_per_coin=settings.coin_price_minor_units)
            promises, stripe_payments = Promises(checkouts, prices), StripeProvider(vendors.stripe)
            consumption = ConsumptionService(payments, entries, vendors.play)
            app.state.database = database
            app.state.coin_service = CoinService(ledger)
            earning = EarningService(ledger, settings.earn_rules, ads_need_callback=settings.admob_ssv_required)
            rewards = RewardService(vendors.ad_keys, earning, inbox, ad_units=settings.admob_ad_units)
            settlement, duties = SettlementService(ledger, promises), DutyStore(database)
            returns = ReturnStore(database, look_after_seconds=settings.stripe_sweep_seconds)
            await returns.ensure_schema()
            events = StripeEvents(inbox, stripe_payments, settlement, returns)
            voids = PlayVoids(
                duties, payments, vendors.play, settlement, interval_seconds=settings.google_play_sweep_seconds
            )
            play_events = PlayEvents(
                inbox, voids, vendors.pushes, package=next(iter(settings.google_play_packages), None)
            )
            worker = InboxWorker(
                inbox, {"admob": rewards.settle, "stripe": events.handle, "google_play": play_events.handle}
            )
            sweeper = StripeSweeper(
                duties, checkouts, vendors.stripe, returns, events, interval_seconds=settings.stripe_sweep_seconds
            )
            app.state.stripe_events = events
            app.state.play_events = play_events
            app.state.checkout_service = CheckoutService(
                ledger,
                checkouts,
                vendors.stripe,
                prices,
                settings.packs,
                sweep_after_seconds=settings.stripe_sweep_seconds,
            )
            app.state.earning_service = earning
            app.state.reward_service = rewards
            app.state.inbox_worker = worker
            app.state.hold_service = HoldService(ledger)
            app.state.refund_service = RefundService(ledger)
            app.state.purchase_service = PurchaseService(
                ledger, {"stripe": stripe_payments, "google_play": vendors.play}, promises, payments, consumption
            )
            sweepers = [sweeper.run()] + ([voids.run()] if vendors.play_configured else [])
            at_inbox = [worker.run() for _ in range(INBOX_WORKERS)]
            audits = AuditSchedule(
                database,
                audit_interval_seconds=settings.audit_interval_seconds,
                hold_alarm_seconds=settings.hold_alarm_seconds,
            )
            async with _background(consumption.run(), *sweepers, audits.run(), *at_inbox):
                yield

    app = create_service_app(
        settings,
        routers=[
            routes.router,
            checkout_routes.router,
            webhook_routes.router,
            reward_routes.router,
            internal_routes.router,
        ],
        lifespan=lifespan,
        description="Wallets: what a user has, earned, bought and spent.",
    )
    if settings.is_production and settings.stripe_webhook_secret is None:
        logger.error(
            "webhooks of stripe are refused: payments and refunds are noticed by the sweeper alone, and late",
            variable="STRIPE_WEBHOOK_SECRET",
            sweep_seconds=settings.stripe_sweep_seconds,
        )
    return app


@asynccontextmanager
async def _background(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(one) for one in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
