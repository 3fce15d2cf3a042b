"""The application every service is built from."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from common.auth import TokenVerifier
from common.error_handlers import add_error_handlers
from common.logging import configure_logging
from common.middleware import add_middleware
from common.mongo import DATABASE_UNAVAILABLE, Database
from common.schemas import Envelope, ok
from common.service_auth import ServiceTokenSigner, ServiceTokenVerifier
from common.settings import ServiceSettings

READY_TIMEOUT_SECONDS = 2.0
NOT_READY: tuple[type[Exception], ...] = (TimeoutError, *DATABASE_UNAVAILABLE)

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]

health_router = APIRouter(include_in_schema=False)


@health_router.get("/health")
async def health() -> Envelope[dict[str, str]]:
    """Say that the process is alive; nothing is asked of anybody else."""
    return ok({"status": "ok"})


@health_router.get("/ready")
async def ready(request: Request) -> Response:
    """Say whether the service can work: its database answers."""
    database: Database | None = getattr(request.app.state, "database", None)
    try:
        if database is not None:
            await asyncio.wait_for(database.command("ping"), READY_TIMEOUT_SECONDS)
    except NOT_READY:
        return JSONResponse(ok({"status": "waiting"}).model_dump(), HTTPStatus.SERVICE_UNAVAILABLE)
    return JSONResponse(ok({"status": "ready"}).model_dump())


@health_router.get("/metrics")
async def metrics() -> Response:
    """Give Prometheus its figures; the gateway has no way here."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def create_service_app(
    settings: ServiceSettings, *, routers: Sequence[APIRouter], lifespan: Lifespan, description: str = ""
) -> FastAPI:
    """Build a service: middleware, error handlers, ``/health``, ``/ready``, ``/metrics`` and its own routes.

    ``app.state`` holds ``settings``, the token verifiers and the signer; the lifespan adds the service's own objects,
    and its ``database`` for ``/ready`` to ask.
    """
    configure_logging(settings.service_name, settings.log_level)
    app = FastAPI(
        title=f"Pixelmint {settings.service_name}",
        description=description,
        version="0.1.0",
        lifespan=lifespan,
        # A redirect would name the service's inner address, and its docs page loads scripts from another host.
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings = settings
    app.state.token_verifier = TokenVerifier(settings.jwt_secret)
    app.state.service_token_verifier = ServiceTokenVerifier(settings.service_secret, audience=settings.service_name)
    app.state.service_token_signer = ServiceTokenSigner(settings.service_secret, caller=settings.service_name)
    add_middleware(app, max_body_bytes=settings.max_body_bytes)
    add_error_handlers(app, database_unavailable=DATABASE_UNAVAILABLE)
    for router in [*routers, health_router]:
        # Not included but taken over: FastAPI searches an included router twice for every request. Its routes have
        # its prefix and tags already.
        app.router.routes.extend(router.routes)
    return app
