"""The coin service's application."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, suppress
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import FastAPI

from coin_service import checkout_routes, internal_routes, reward_routes, routes, webhook_routes
from coin_service.audit.schedule import AuditSchedule
from coin_service.checkout_service import CheckoutService
from coin_service.checkouts import CheckoutStore
from coin_service.consumption import ConsumptionService
from coin_service.duties import DutyStore
from coin_service.earning import EarningService
from coin_service.holds import HoldService
from coin_service.inbox import InboxStore
from coin_service.inbox_worker import InboxWorker
from coin_service.ledger import Ledger
from coin_service.payments import PaymentStore
from coin_service.play_events import PlayEvents
from coin_service.play_voids import PlayVoids
from coin_service.prices import Prices
from coin_service.providers.admob_keys import AdKeyServer
from coin_service.providers.google_play import GooglePlayProvider
from coin_service.providers.http import open_vendor_client
from coin_service.providers.stripe import StripeProvider
from coin_service.providers.stripe_api import API_VERSION, StripeApi
from coin_service.purchases import PurchaseService
from coin_service.rewards import RewardService
from coin_service.service import CoinService
from coin_service.settings import Settings
from coin_service.settlement import SettlementService
from coin_service.store import LedgerStore
from coin_service.stripe_events import StripeEvents
from coin_service.sweeper import StripeSweeper
from common.app import create_service_app
from common.clients.auth import AuthClient
from common.google import ANDROID_PUBLISHER_SCOPE, GoogleCredentials
from common.google_push import GoogleCertificates, PushVerifier
from common.http import open_http_client
from common.mongo import open_database
from common.settings import load_settings

INBOX_WORKERS = 4
"""In each process; they mostly wait for vendors."""


@dataclass(frozen=True, slots=True)
class Roads:
    """Ways to the others, where they are not the network."""

    auth: httpx.AsyncBaseTransport | None = None
    stripe: httpx.AsyncBaseTransport | None = None
    google: httpx.AsyncBaseTransport | None = None
    google_tokens: httpx.BaseTransport | None = None
    admob: httpx.AsyncBaseTransport | None = None
    certs: httpx.AsyncBaseTransport | None = None


def create_app(settings: Settings | None = None, *, roads: Roads | None = None) -> FastAPI:
    """Build the application; its resources open with its lifespan."""
    settings = settings or load_settings(Settings)
    roads = roads or Roads()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with (
            open_database(settings) as database,
            open_http_client(
                settings.auth_url,
                timeout_seconds=settings.http_timeout_seconds,
                connect_timeout_seconds=settings.http_connect_timeout_seconds,
                transport=roads.auth,
            ) as auth,
            _stripe_client(settings, roads.stripe) as stripe,
            open_vendor_client(
                settings.google_play_api_base,
                timeout_seconds=settings.provider_timeout_seconds,
                transport=roads.google,
            ) as google,
            _google_credentials(settings, roads.google_tokens) as credentials,
            open_vendor_client(
                settings.admob_keys_url, timeout_seconds=settings.provider_timeout_seconds, transport=roads.admob
            ) as admob,
            open_vendor_client(
                settings.google_certs_url, timeout_seconds=settings.provider_timeout_seconds, transport=roads.certs
            ) as certs,
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
            stripe_api = _stripe_api(settings, stripe)
            stripe_payments = StripeProvider(stripe_api, prices)
            play = _google_play(settings, google, credentials)
            consumption = ConsumptionService(payments, entries, play)
            app.state.database = database
            app.state.coin_service = CoinService(ledger)
            earning = EarningService(ledger, settings.earn_rules, ads_need_callback=settings.admob_ssv_required)
            rewards = RewardService(
                AdKeyServer(admob, settings.admob_keys_url), earning, inbox, ad_units=settings.admob_ad_units
            )
            settlement, duties = SettlementService(ledger, checkouts, prices), DutyStore(database)
            events = StripeEvents(inbox, stripe_payments, settlement)
            voids = PlayVoids(duties, payments, play, settlement, interval_seconds=settings.google_play_sweep_seconds)
            play_events = PlayEvents(
                inbox, voids, _push_verifier(settings, certs), package=next(iter(settings.google_play_packages), None)
            )
            worker = InboxWorker(
                inbox, {"admob": rewards.settle, "stripe": events.handle, "google_play": play_events.handle}
            )
            sweeper = StripeSweeper(
                duties, checkouts, stripe_api, events, interval_seconds=settings.stripe_sweep_seconds
            )
            app.state.stripe_events = events
            app.state.play_events = play_events
            app.state.checkout_service = CheckoutService(
                ledger,
                checkouts,
                stripe_api,
                prices,
                settings.packs,
                sweep_after_seconds=settings.stripe_sweep_seconds,
            )
            app.state.earning_service = earning
            app.state.reward_service = rewards
            app.state.inbox_worker = worker
            app.state.hold_service = HoldService(ledger)
            app.state.purchase_service = PurchaseService(
                ledger, {"stripe": stripe_payments, "google_play": play}, payments, consumption
            )
            sweepers = [sweeper.run()] + ([voids.run()] if credentials is not None else [])
            at_inbox = [worker.run() for _ in range(INBOX_WORKERS)]
            audits = AuditSchedule(
                database,
                audit_interval_seconds=settings.audit_interval_seconds,
                hold_alarm_seconds=settings.hold_alarm_seconds,
            )
            async with _background(consumption.run(), *sweepers, audits.run(), *at_inbox):
                yield

    return create_service_app(
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


def _stripe_client(
    settings: Settings, transport: httpx.AsyncBaseTransport | None
) -> AbstractAsyncContextManager[httpx.AsyncClient]:
    headers = {"Stripe-Version": API_VERSION}
    if settings.stripe_secret_key is not None:
        headers["Authorization"] = f"Bearer {settings.stripe_secret_key.get_secret_value()}"
    return open_vendor_client(
        settings.stripe_api_base,
        timeout_seconds=settings.provider_timeout_seconds,
        headers=headers,
        transport=transport,
    )


def _stripe_api(settings: Settings, client: httpx.AsyncClient) -> StripeApi:
    return StripeApi(
        client,
        livemode=settings.is_production,
        total_seconds=settings.provider_total_seconds,
        configured=settings.stripe_secret_key is not None,
    )


@asynccontextmanager
async def _google_credentials(
    settings: Settings, transport: httpx.BaseTransport | None
) -> AsyncIterator[GoogleCredentials | None]:
    if settings.google_application_credentials is None:
        yield None
        return
    key_file = settings.google_application_credentials
    with closing(GoogleCredentials.from_file(key_file, [ANDROID_PUBLISHER_SCOPE], transport=transport)) as credentials:
        yield credentials


def _google_play(
    settings: Settings, client: httpx.AsyncClient, credentials: GoogleCredentials | None
) -> GooglePlayProvider:
    return GooglePlayProvider(
        client,
        credentials,
        package=next(iter(settings.google_play_packages), None),
        products=settings.google_play_products,
        accepts_test_purchases=settings.accepts_test_purchases,
        total_seconds=settings.provider_total_seconds,
    )


def _push_verifier(settings: Settings, client: httpx.AsyncClient) -> PushVerifier | None:
    audience, email = settings.google_play_push_audience, settings.google_play_push_email
    if audience is None or email is None:
        return None
    return PushVerifier(GoogleCertificates(client, settings.google_certs_url), audience=audience, email=email)


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
