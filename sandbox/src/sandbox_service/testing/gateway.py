"""A gateway that remembers what the sandbox sent to it."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
from pydantic import SecretStr

from sandbox_service.main import create_app
from sandbox_service.settings import Settings

SECRET = "whsec_of_the_tests_00000000000000000000"
USER = "0123456789abcdef01234567"


class Gateway:
    """Remembers what was sent to it.

    Attributes:
        statuses: Of its next answers; 200 when there are none.
        received: Requests, oldest first.
        failures: Of its next answers, none of which comes.
    """

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.received: list[httpx.Request] = []
        self.failures: list[httpx.HTTPError] = []

    def transport(self) -> httpx.MockTransport:
        def answer(request: httpx.Request) -> httpx.Response:
            if self.failures:
                raise self.failures.pop(0)
            self.received.append(request)
            return httpx.Response(self.statuses.pop(0) if self.statuses else 200, json={"success": True})

        return httpx.MockTransport(answer)


def settings(**changes: Any) -> Settings:
    """Those of a sandbox that sends to the gateway, changed as the test says."""
    values = {"gateway_url": "http://gateway.test", "stripe_webhook_secret": SecretStr(SECRET), **changes}
    return Settings(**values)


async def opened(gateway: Gateway, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Run a sandbox on the road to the gateway; yield a client of it."""
    app = create_app(settings, gateway=gateway.transport())
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://sandbox") as client,
    ):
        yield client


async def send(client: httpx.AsyncClient, path: str, **order: Any) -> dict[str, Any]:
    """Have the sandbox send something; return what it tells of the answer."""
    response = await client.post(f"/_sandbox/{path}", json=order)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer
