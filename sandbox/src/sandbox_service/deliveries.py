"""What vendors send of their own accord: webhooks and callbacks, through the gateway as from outside."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import httpx

TIMEOUT_SECONDS = 30.0
"""Longer than the gateway takes to give up."""

Json = dict[str, Any]


class Deliveries:
    """Sends to the gateway and tells what it answered."""

    def __init__(self, gateway_url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.gateway_url = gateway_url
        self._client = httpx.AsyncClient(
            base_url=gateway_url, timeout=TIMEOUT_SECONDS, trust_env=False, follow_redirects=False, transport=transport
        )

    async def send(
        self,
        method: str,
        target: str,
        *,
        times: int = 1,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        """Send the same thing ``times`` times, one after the other.

        Returns:
            ``status`` and ``body`` of the last answer, ``statuses`` of all; where none came, or it broke off, 502 and
            in ``body`` why.
        """
        statuses: list[int] = []
        body: Any = None
        for _ in range(times):
            try:
                response = await self._client.request(method, target, content=content, headers=headers)
            except httpx.HTTPError as error:
                statuses.append(HTTPStatus.BAD_GATEWAY)
                body = f"{self.gateway_url}: {type(error).__name__}"
            else:
                statuses.append(response.status_code)
                body = _json_or_text(response)
        return {"status": statuses[-1], "statuses": statuses, "body": body}

    async def close(self) -> None:
        await self._client.aclose()


def _json_or_text(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return response.text
