"""Google Play: subscriptions, and the acknowledgements of them."""

import asyncio
import re
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import httpx

from common.clock import format_timestamp
from subscription_service.testing.clock import Clock

PACKAGE = "com.example.app"
PRODUCT = "pro_monthly"


_PATH = re.compile(
    rb"/androidpublisher/v3/applications/(?P<package>[^/?]+)/purchases/"
    rb"(?:subscriptionsv2|subscriptions/(?P<product>[^/?]+))/tokens/(?P<token>[^/?:]+)(?P<verb>:acknowledge)?"
)


class FakePlay:
    """Android Publisher's two calls; ``answers`` come first, one a call, then what ``purchases`` hold.

    Attributes:
        purchases: What Google says of a token.
        answers: A status with or without a body, bytes, or the exception of a broken connection.
        reads: Tokens asked about.
        acknowledged: Package, product and token of each acknowledgement that was accepted.
        paths: Raw paths asked for.
        package: The one app that Google knows.
        gate: Answers wait until it is set.
        asked: Set by every read.
        accepted: Set by every acknowledgement that was accepted.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.purchases: dict[str, dict[str, Any]] = {}
        self.answers: list[int | bytes | Exception | httpx.Response] = []
        self.acknowledge_answers: list[int] = []
        self.reads: list[str] = []
        self.acknowledged: list[tuple[str, str, str]] = []
        self.paths: list[bytes] = []
        self.package = PACKAGE
        self.gate: asyncio.Event | None = None
        self.asked = asyncio.Event()
        self.accepted = asyncio.Event()

    def put(self, token: str, state: str = "ACTIVE", *, days: float | None = 30, **members: Any) -> dict[str, Any]:
        """Have Google know a purchase that ends in ``days`` days by the clock; ``None`` leaves the time out."""
        item: dict[str, Any] = {"productId": PRODUCT, "autoRenewingPlan": {"autoRenewEnabled": True}}
        if days is not None:
            item["expiryTime"] = format_timestamp(self.clock.now + timedelta(days=days))
        if state in ("CANCELED", "EXPIRED"):
            item["autoRenewingPlan"] = {}
        purchase = {
            "kind": "androidpublisher#subscriptionPurchaseV2",
            "subscriptionState": f"SUBSCRIPTION_STATE_{state}",
            "acknowledgementState": "ACKNOWLEDGEMENT_STATE_PENDING",
            "lineItems": [item],
            **members,
        }
        self.purchases[token] = purchase
        return purchase

    async def answer(self, request: httpx.Request) -> httpx.Response:
        self.paths.append(request.url.raw_path)
        match = _PATH.fullmatch(request.url.raw_path)
        if match is None:
            return _error(404, "notFound")
        if request.headers["authorization"] != "Bearer ya29.good":
            return _error(401, "authError")
        token = unquote(match["token"].decode())
        if match["verb"]:
            return self._acknowledge(match["package"].decode(), unquote(match["product"].decode()), token)
        self.reads.append(token)
        self.asked.set()
        known = self.purchases.get(token)  # as it stands now, however slowly it is told
        if self.gate is not None:
            await self.gate.wait()
        if self.answers:
            return _given(self.answers.pop(0), request)
        if match["package"].decode() != self.package or known is None:
            return _error(404, "notFound")
        return httpx.Response(200, json=known)

    def _acknowledge(self, package: str, product: str, token: str) -> httpx.Response:
        if self.acknowledge_answers:
            return _error(self.acknowledge_answers.pop(0), "backendError")
        purchase = self.purchases[token]
        if purchase["subscriptionState"].endswith("PENDING"):
            return _error(400, "failedPrecondition")
        purchase["acknowledgementState"] = "ACKNOWLEDGEMENT_STATE_ACKNOWLEDGED"
        self.acknowledged.append((package, product, token))
        self.accepted.set()
        return httpx.Response(204)


def _given(answer: int | bytes | Exception | httpx.Response, request: httpx.Request) -> httpx.Response:
    if isinstance(answer, Exception):
        raise answer
    if isinstance(answer, httpx.Response):
        return answer
    if isinstance(answer, bytes):
        return httpx.Response(200, content=answer)
    return _error(answer, "backendError")


def _error(code: int, reason: str) -> httpx.Response:
    error = {
        "code": code,
        "message": "In Google's words.",
        "errors": [{"reason": reason, "domain": "androidpublisher"}],
    }
    return httpx.Response(code, json={"error": error})
