"""Which of Stability's engines draws, as the settings say."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx

from common.http import open_http_client
from image_service.providers import Provider
from image_service.providers.capabilities import ENGINES
from image_service.providers.stability_http import StabilityHttp
from image_service.providers.stability_v1 import StabilityV1
from image_service.providers.stability_v2beta import StabilityV2Beta
from image_service.settings import Settings


@asynccontextmanager
async def open_engine(
    settings: Settings, *, transport: httpx.AsyncBaseTransport | None = None
) -> AsyncIterator[Provider]:
    """Open the engine that ``STABILITY_ENGINE`` names, behind one client for all of its calls."""
    capabilities = ENGINES[settings.stability_engine]
    capabilities = replace(capabilities, samples=min(capabilities.samples, settings.max_samples))
    async with open_http_client(
        settings.stability_api_base,
        timeout_seconds=settings.stability_timeout_seconds,
        connect_timeout_seconds=settings.http_connect_timeout_seconds,
        headers={
            "Authorization": f"Bearer {settings.stability_api_key.get_secret_value()}",
            "Accept-Encoding": "identity",
            "Stability-Client-ID": "pixelmint",
        },
        transport=transport,
    ) as client:
        http = StabilityHttp(
            client,
            timeout_seconds=settings.stability_timeout_seconds,
            max_calls=settings.stability_max_calls,
            max_wait_seconds=settings.max_wait_seconds,
        )
        # v1 draws sizes, v2beta proportions.
        yield (StabilityV1 if capabilities.sizes else StabilityV2Beta)(http, capabilities)
