"""An app's server that asks Google Play, and how it gets its access token."""

import time
from typing import Any

import httpx
import jwt

from sandbox_service.google.keys import SCOPE
from sandbox_service.google.oauth import GRANT_TYPE

PACKAGE = "com.example.pixelmint"
BASE = f"/androidpublisher/v3/applications/{PACKAGE}/purchases"
DAY = 86_400


class Play:
    """Calls of the Android Publisher API with a good access token."""

    def __init__(self, client: httpx.AsyncClient, headers: dict[str, str]) -> None:
        self.client = client
        self.headers = headers

    async def get(self, path: str) -> httpx.Response:
        return await self.client.get(f"{BASE}/{path}", headers=self.headers)

    async def post(self, path: str, body: Any = None) -> httpx.Response:
        return await self.client.post(f"{BASE}/{path}", headers=self.headers, json=body)

    async def subscription(self, token: str) -> dict[str, Any]:
        response = await self.get(f"subscriptionsv2/tokens/{token}")
        assert response.status_code == 200, response.text
        purchase: dict[str, Any] = response.json()
        return purchase

    async def put(self, token: str, **body: Any) -> httpx.Response:
        return await self.client.put(f"/_sandbox/play/purchases/{token}", json=body)

    async def advance(self, seconds: float) -> None:
        response = await self.client.post("/_sandbox/clock", json={"advanceSeconds": seconds})
        assert response.status_code == 200


def claims_of(account: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """What google-auth puts into an assertion; ``iat`` and ``exp`` of ``changes`` count from now."""
    now = int(time.time())
    claims = {"iss": account["client_email"], "scope": SCOPE, "aud": "https://oauth2.googleapis.com/token"}
    times = {"iat": now + changes.pop("iat", 0), "exp": now + changes.pop("exp", 3600)}
    return claims | times | changes


async def ask_token(client: httpx.AsyncClient, account: dict[str, Any], claims: dict[str, Any]) -> httpx.Response:
    key_id = {"kid": account["private_key_id"]}
    assertion = jwt.encode(claims, account["private_key"], "RS256", headers=key_id)
    return await client.post("/token", data={"grant_type": GRANT_TYPE, "assertion": assertion})
