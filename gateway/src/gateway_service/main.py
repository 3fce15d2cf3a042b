"""The gateway's application: the forwarding path in front, FastAPI for the pages of its own."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.auth import TokenVerifier
from common.error_handlers import add_error_handlers
from common.logging import configure_logging
from common.middleware import add_middleware
from gateway_service.client_address import TrustedProxies
from gateway_service.cors import CorsPolicy
from gateway_service.docs import router as docs_router
from gateway_service.identity import Identity
from gateway_service.limits import LIMITS_STATE, Limits
from gateway_service.openapi import VERSION
from gateway_service.pages import Overview
from gateway_service.pages import router as pages_router
from gateway_service.pool import UpstreamPool, sweep_forever
from gateway_service.proxy import Proxy
from gateway_service.settings import Settings

FORWARDED = (b"/api/", b"/uploads/")


class Gateway:
    """Sends a request to the services or to the pages; nothing lies between the server and the proxy."""

    def __init__(self, proxy: Proxy, pages: ASGIApp, cors: CorsPolicy) -> None:
        self._proxy = proxy
        self._pages = pages
        self._cors = cors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._pages(scope, receive, send)
        elif scope["raw_path"].startswith(FORWARDED) or _is_preflight(scope):
            await self._proxy(scope, receive, send)
        else:
            await self._pages(scope, receive, self._with_cors(scope, send))

    def _with_cors(self, scope: Scope, send: Send) -> Send:
        cors = self._cors.headers(next((value for name, value in scope["headers"] if name == b"origin"), None))

        async def send_with_cors(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *cors]
            await send(message)

        return send_with_cors


def _is_preflight(scope: Scope) -> bool:
    names = {name for name, _ in scope["headers"]}
    return scope["method"] == "OPTIONS" and names >= {b"origin", b"access-control-request-method"}


def create_app(settings: Settings | None = None) -> Gateway:
    settings = settings or Settings()
    configure_logging(settings.service_name, settings.log_level)
    pools = _pools(settings, settings.upstream_connections)
    # Apart from the rest: whoever only waits must not keep anybody from what is quickly done.
    following = _pools(settings, settings.max_followers, wait_seconds=0.0)
    cors = CorsPolicy(settings.allowed_origins)
    proxy = Proxy(
        pools,
        following,
        identity=Identity(TokenVerifier(settings.jwt_secret)),
        cors=cors,
        proxies=TrustedProxies(settings.trusted_proxies),
        max_body_bytes=settings.max_body_bytes,
        max_requests=settings.max_requests,
        timeout_seconds=settings.upstream_timeout_seconds,
        slow_timeout_seconds=settings.generation_timeout_seconds,
    )
    return Gateway(proxy, _pages(settings, pools, following), cors)


def _pools(settings: Settings, max_connections: int, *, wait_seconds: float = 2.0) -> dict[str, UpstreamPool]:
    return {
        name: UpstreamPool(
            name,
            url,
            max_connections=max_connections,
            connect_timeout_seconds=settings.upstream_connect_timeout_seconds,
            idle_timeout_seconds=settings.upstream_idle_timeout_seconds,
            wait_seconds=wait_seconds,
        )
        for name, url in settings.upstream_urls.items()
    }


def _pages(settings: Settings, pools: Mapping[str, UpstreamPool], following: Mapping[str, UpstreamPool]) -> FastAPI:
    every_pool = [*pools.values(), *following.values()]
    limits = Limits(
        max_connections=settings.max_connections,
        head_timeout_seconds=settings.head_timeout_seconds,
        body_stall_timeout_seconds=settings.body_stall_timeout_seconds,
        body_timeout_seconds=settings.body_timeout_seconds,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        sweeping = asyncio.create_task(sweep_forever(every_pool))
        try:
            yield {LIMITS_STATE: limits}
        finally:
            sweeping.cancel()
            with suppress(asyncio.CancelledError):
                await sweeping
            for pool in every_pool:
                pool.close()

    pages = FastAPI(title="Pixelmint", version=VERSION, lifespan=lifespan, openapi_url=None, redirect_slashes=False)
    pages.state.overview = Overview(pools)
    add_middleware(pages, max_body_bytes=settings.max_body_bytes)
    add_error_handlers(pages)
    pages.include_router(pages_router)
    pages.include_router(docs_router)
    return pages
