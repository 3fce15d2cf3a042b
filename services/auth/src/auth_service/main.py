"""The auth service, wired."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import timedelta

from fastapi import FastAPI

from auth_service.limits import Limiter
from auth_service.passwords import PasswordHasher
from auth_service.routes import internal_router, router
from auth_service.service import AccountService, AuthService, Limits
from auth_service.sessions import SessionService
from auth_service.settings import Settings
from auth_service.store import AccountStore, SessionStore, TallyStore
from common.app import create_service_app
from common.auth import TokenIssuer
from common.mongo import open_database
from common.settings import load_settings


def create_app(settings: Settings | None = None) -> FastAPI:
    settings = settings or load_settings(Settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_database(settings) as database:
            accounts, sessions, tallies = AccountStore(database), SessionStore(database), TallyStore(database)
            for store in (accounts, sessions, tallies):
                await store.ensure_indexes()
            issuer = TokenIssuer(settings.jwt_secret, ttl_seconds=settings.jwt_expire)
            session_service = SessionService(sessions, accounts, issuer, ttl=timedelta(seconds=settings.refresh_expire))
            with closing(PasswordHasher(rounds=settings.bcrypt_rounds)) as passwords:
                app.state.database = database
                app.state.session_service = session_service
                app.state.account_service = AccountService(accounts)
                app.state.auth_service = AuthService(
                    accounts, session_service, passwords, Limiter(tallies), Limits.of(settings)
                )
                yield

    return create_service_app(
        settings, routers=[router, internal_router], lifespan=lifespan, description="Accounts, sessions and tokens."
    )
