"""The app on a phone, and what it must see in an answer."""

from typing import Any

import httpx

Headers = dict[str, str]

BODY = {"purchaseToken": "t1", "productId": "pro_monthly", "packageName": "com.example.app"}
NONE = {
    "status": "none",
    "isActive": False,
    "productId": None,
    "planName": None,
    "expiresAt": None,
    "autoRenewing": False,
    "inGracePeriod": False,
    "testPurchase": False,
    "manageUrl": None,
}
"""The subscription of who has none."""


async def verify(client: httpx.AsyncClient, headers: Headers, **change: Any) -> httpx.Response:
    """Tell of a purchase."""
    return await client.post("/api/subscription/verify", json=BODY | change, headers=headers)


async def status(client: httpx.AsyncClient, headers: Headers) -> Any:
    """Ask for the subscription."""
    answer = await client.get("/api/subscription/status", headers=headers)
    assert answer.status_code == 200
    assert list(answer.json()["data"]) == ["subscription"]
    return answer.json()["data"]["subscription"]


def assert_failure(answer: httpx.Response, expected_status: int, code: str) -> dict[str, Any]:
    """Check that an answer refuses as every answer does, and return its body."""
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["code"]) == (expected_status, code)
    assert list(body) == ["success", "code", "message", "details", "requestId"]
    assert body["success"] is False
    for inner in ("Google's words", "ya29", "mongo", "Traceback", "androidpublisher"):
        assert inner not in answer.text
    return body
