"""Wire the subscription service together."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime

import httpx
from fastapi import FastAPI

from common.app import create_service_app
from common.clock import utc_now
from common.http import open_http_client
from common.mongo import open_database
from subscription_service.providers.google_play import GooglePlay
from subscription_service.rechecks import Rechecker
from subscription_service.routes import internal_router, public_router
from subscription_service.service import SubscriptionService
from subscription_service.settings import Settings
from subscription_service.store import SubscriptionStore

READ_TIMEOUT_SECONDS = 4.0
"""One try; a slow one leaves time for another before the whole question's deadline."""


def create_app(
    settings: Settings | None = None,
    *,
    now: Callable[[], datetime] = utc_now,
    google_transport: httpx.AsyncBaseTransport | None = None,
) -> FastAPI:
    """Build the application.

    Args:
        settings: Read from the environment if not given.
        now: Where the time comes from.
        google_transport: The road to Google's API, if it is not the network.
    """
    settings = settings or Settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with (
            open_database(settings) as database,
            open_http_client(
                settings.google_play_api_base, timeout_seconds=READ_TIMEOUT_SECONDS, transport=google_transport
            ) as http,
        ):
            store = SubscriptionStore(database)
            await store.ensure_indexes()
            play = GooglePlay(
                http,
                settings.google_application_credentials,
                timeout_seconds=settings.google_play_timeout_seconds,
            )
            subscriptions = SubscriptionService(store, play, settings, now=now)
            rechecker = Rechecker(subscriptions, interval_seconds=settings.recheck_interval_seconds)
            rechecking = asyncio.create_task(rechecker.run())
            app.state.database = database
            app.state.subscription_service = subscriptions
            try:
                yield
            finally:
                rechecking.cancel()
                with suppress(asyncio.CancelledError):
                    await rechecking
                await subscriptions.close()
                play.close()

    return create_service_app(
        settings,
        routers=[public_router, internal_router],
        lifespan=lifespan,
        description="Who has a running subscription, by the word of Google Play.",
    )
