"""The gateway's own pages, besides the documentation."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from common.schemas import Envelope, ok
from gateway_service.fetch import fetch_all, parse_object
from gateway_service.openapi import VERSION, merge
from gateway_service.pool import UpstreamPool
from gateway_service.remembered import Remembered

PROBE_TIMEOUT_SECONDS = 1.5
PROBE_TTL_SECONDS = 1.0
"""However often they are asked for, the services are asked once a second."""

OPENAPI_TIMEOUT_SECONDS = 3.0
OPENAPI_TTL_SECONDS = 5.0

router = APIRouter(include_in_schema=False)


class Overview:
    """What the gateway says of the services behind it: names, never addresses or versions."""

    def __init__(self, pools: Mapping[str, UpstreamPool]) -> None:
        self._pools = pools
        self.health = Remembered(lambda: self._probe("/health"), ttl_seconds=PROBE_TTL_SECONDS)
        self.readiness = Remembered(lambda: self._probe("/ready"), ttl_seconds=PROBE_TTL_SECONDS)
        self.openapi = Remembered(self._openapi, ttl_seconds=OPENAPI_TTL_SECONDS)

    async def _probe(self, path: str) -> dict[str, bool]:
        answers = await fetch_all(self._pools, path, timeout_seconds=PROBE_TIMEOUT_SECONDS)
        return {name: answer is not None and answer[0] == HTTPStatus.OK for name, answer in answers.items()}

    async def _openapi(self) -> dict[str, Any]:
        answers = await fetch_all(self._pools, "/openapi.json", timeout_seconds=OPENAPI_TIMEOUT_SECONDS)
        parsed = {
            name: parse_object(answer[1]) for name, answer in answers.items() if answer and answer[0] == HTTPStatus.OK
        }
        return merge({name: document for name, document in parsed.items() if document is not None})


def _overview(request: Request) -> Overview:
    overview: Overview = request.app.state.overview
    return overview


@router.api_route("/", methods=["GET", "HEAD"])
async def index() -> Envelope[dict[str, Any]]:
    links = {"docs": "/docs", "openapi": "/openapi.json", "health": "/health"}
    return ok({"name": "Pixelmint", "version": VERSION, "links": links})


@router.api_route("/health", methods=["GET", "HEAD"])
async def health(request: Request) -> Envelope[dict[str, Any]]:
    """Say that the gateway is alive, and which services answer it."""
    services = await _overview(request).health.get()
    named = {name: "ok" if alive else "unreachable" for name, alive in services.items()}
    return ok({"status": "ok" if all(services.values()) else "degraded", "services": named})


@router.api_route("/ready", methods=["GET", "HEAD"])
async def ready(request: Request, response: Response) -> Envelope[dict[str, Any]]:
    """Say whether every service can work; 503 while one cannot."""
    services = await _overview(request).readiness.get()
    waiting = [name for name, is_ready in services.items() if not is_ready]
    if waiting:
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return ok({"status": "waiting" if waiting else "ready", "waitingFor": waiting})


@router.api_route("/openapi.json", methods=["GET", "HEAD"])
async def openapi(request: Request) -> JSONResponse:
    """Describe every public endpoint of the services that answer."""
    return JSONResponse(await _overview(request).openapi.get())
