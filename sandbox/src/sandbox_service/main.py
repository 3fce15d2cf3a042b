"""The application: vendors' routes, controls, and a plain word on what this is."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.logging import get_logger
from sandbox_service import control, control_sending
from sandbox_service.admob import routes as admob
from sandbox_service.cloudinary import routes as cloudinary
from sandbox_service.deliveries import Deliveries
from sandbox_service.google import oauth, publisher
from sandbox_service.pictures.studio import Studio
from sandbox_service.settings import Settings
from sandbox_service.stability import routes as stability
from sandbox_service.stability import v2beta
from sandbox_service.state import Sandbox
from sandbox_service.stripe import routes as stripe
from sandbox_service.vendor import VendorRoute

logger = get_logger(__name__)

# Stability and Stripe share /v1; Stripe's last route answers what neither has.
VENDOR_ROUTES: list[VendorRoute] = [
    *stability.routes,
    *v2beta.routes,
    *stripe.routes,
    *oauth.routes,
    *publisher.routes,
    *admob.routes,
    *cloudinary.routes,
]

STANDS_IN_FOR = {
    "stability": "https://api.stability.ai (v1, v2beta)",
    "stripe": "https://api.stripe.com (v1)",
    "google_oauth": "https://oauth2.googleapis.com/token",
    "google_play": "https://androidpublisher.googleapis.com (v3)",
    "admob": "https://www.gstatic.com/admob/reward/verifier-keys.json",
    "cloudinary": "https://api.cloudinary.com (v1_1), https://res.cloudinary.com",
}


class AnnounceSandbox:
    """Every answer says where it comes from."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def announce(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Pixelmint-Sandbox"] = "1"
            await send(message)

        await self._app(scope, receive, announce if scope["type"] == "http" else send)


def create_app(settings: Settings | None = None, *, gateway: httpx.AsyncBaseTransport | None = None) -> FastAPI:
    """Build the application; ``gateway`` stands in for the network on the way to the gateway."""
    settings = settings or Settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        studio = Studio(settings.sandbox_drawing_threads)
        deliveries = Deliveries(settings.webhooks_url, gateway)
        sandbox = Sandbox(settings, studio, deliveries)
        sandbox.service_account.ensure(settings.base_url, world_readable=settings.sandbox_credentials_world_readable)
        app.state.sandbox = sandbox
        logger.warning("this is a sandbox: no vendor is reached, no money moves", stands_in_for=sorted(STANDS_IN_FOR))
        try:
            yield
        finally:
            sandbox.faults.clear()
            studio.close()
            await deliveries.close()

    app = FastAPI(title="Pixelmint sandbox", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.operations = _operations()
    app.add_middleware(AnnounceSandbox)
    app.add_exception_handler(RequestValidationError, _refuse)
    app.include_router(control.router)
    app.include_router(control_sending.router)
    app.add_api_route("/", about, tags=["about"])
    app.add_api_route("/health", alive, tags=["about"])
    app.add_api_route("/ready", alive, tags=["about"])
    app.router.routes.extend(VENDOR_ROUTES)
    return app


async def about() -> dict[str, Any]:
    """Say what this is."""
    return {
        "sandbox": True,
        "message": "This is the Pixelmint sandbox. It stands in for the vendors below; nothing here is real.",
        "standsInFor": STANDS_IN_FOR,
        "operations": {vendor: sorted(names) for vendor, names in _operations().items()},
    }


async def alive() -> dict[str, str | bool]:
    return {"status": "ok", "sandbox": True}


async def _refuse(_: Request, error: Exception) -> Response:
    """422 without the input, which may hold what JSON cannot say."""
    if not isinstance(error, RequestValidationError):
        raise error
    problems = [
        {"field": ".".join(str(part) for part in problem["loc"][1:]), "message": problem["msg"]}
        for problem in error.errors()
    ]
    return JSONResponse({"detail": problems}, status_code=422)


def _operations() -> dict[str, set[str]]:
    operations: dict[str, set[str]] = {}
    for route in VENDOR_ROUTES:
        operations.setdefault(route.vendor, set()).add(route.operation)
    return operations
