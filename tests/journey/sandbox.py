"""The sandbox's controls over the vendors."""

import ssl
from typing import Any

import httpx

from journey.answers import Json

_TLS = ssl.create_default_context()
"""Loading certificates takes longer than a request; no address here needs them."""


class Sandbox:
    """Makes vendors fail, moves their clock, and reads what they were asked."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def reset(self) -> None:
        """Make every vendor well again, and forgetful."""
        await self._call("POST", "reset")

    async def fault(self, vendor: str, **behaviour: Any) -> None:
        """Make the next call of ``vendor`` (``times`` of them) misbehave."""
        await self._call("POST", "faults", {"vendor": vendor, **behaviour})

    async def calls(self, vendor: str, *, containing: str = "") -> list[Json]:
        """What ``vendor`` was asked, newest last; only calls with ``containing`` in their path or body."""
        answer = await self._call("GET", f"calls?vendor={vendor}")
        calls: list[Json] = answer["calls"]
        return [call for call in calls if containing in call["path"] or containing in str(call["body"])]

    async def advance_clock(self, *, days: float) -> None:
        """Move the vendors' clock on; subscriptions renew or expire by it."""
        await self._call("POST", "clock", {"advanceSeconds": days * 86_400.0})

    async def put_purchase(self, token: str, **change: Any) -> None:
        """Make or change a Google Play purchase."""
        await self._call("PUT", f"play/purchases/{token}", change)

    async def put_payment(self, identifier: str, **change: Any) -> None:
        """Make or change a Stripe payment."""
        await self._call("PUT", f"stripe/payments/{identifier}", change)

    async def reward(self, **order: Any) -> Json:
        """Have AdMob call back because an ad was watched; return what it was answered."""
        return await self._call("POST", "admob/reward", order)

    async def webhook(self, type_: str, payment: str, **order: Any) -> Json:
        """Have Stripe send an event about a payment as it stands; return what it was answered.

        Its ``status`` is 502 where the answer broke off.
        """
        return await self._call("POST", "stripe/webhook", {"type": type_, "id": payment, **order})

    async def notify(self, token: str, type_: int | str, **order: Any) -> Json:
        """Have Google Play push a notification about a purchase; return what it was answered."""
        return await self._call("POST", "play/notify", {"token": token, "notificationType": type_, **order})

    async def _call(self, method: str, path: str, body: Json | None = None) -> Json:
        async with httpx.AsyncClient(base_url=self._url, verify=_TLS, trust_env=False, timeout=40.0) as client:
            response = await client.request(method, f"/_sandbox/{path}", json=body)
        assert response.is_success, f"{method} {path}: {response.status_code} {response.text}"
        answer: Json = response.json()
        return answer
