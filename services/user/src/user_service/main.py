"""The user service, wired."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI

from common.app import create_service_app
from common.clients.auth import AuthClient
from common.http import open_service_client
from common.mongo import open_database
from common.settings import load_settings
from user_service.healer import healing
from user_service.routes import router
from user_service.service import ProfileService
from user_service.settings import Settings
from user_service.store import ProfileStore


def create_app(settings: Settings | None = None, *, auth_transport: httpx.AsyncBaseTransport | None = None) -> FastAPI:
    """Build the service; ``auth_transport`` stands in for the network to auth."""
    settings = settings or load_settings(Settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with (
            open_database(settings) as database,
            open_service_client(str(settings.auth_url), settings, transport=auth_transport) as auth_http,
        ):
            store = ProfileStore(database)
            await store.ensure_indexes()
            profiles = ProfileService(store, AuthClient(auth_http, app.state.service_token_signer))
            app.state.database = database
            app.state.profile_service = profiles
            async with healing(
                profiles,
                interval_seconds=settings.heal_interval_seconds,
                after_seconds=settings.heal_after_seconds,
            ):
                yield

    return create_service_app(settings, routers=[router], lifespan=lifespan, description="Profiles of users.")
