"""Stripe: payments, what came back of them, and those it is asked to make."""

from typing import Any
from urllib.parse import parse_qsl

import httpx

from coin_service.testing.vendor import Vendor

STRIPE_KEY = "sk_test_of_the_tests"


class FakeStripe(Vendor):
    """Payments by their ids; one is ``pi_X`` with its charge ``ch_X`` and its balance transaction ``txn_X``.

    Attributes:
        objects: What Stripe says of an id.
        disputes: By charge, the states of its disputes.
        returned: What the lists of refunds and disputes say.
        made: By idempotency key, the PaymentIntents that were asked for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[str, dict[str, Any]] = {}
        self.disputes: dict[str, list[str]] = {}
        self.returned: dict[str, list[dict[str, Any]]] = {"refunds": [], "disputes": []}
        self.made: dict[str, dict[str, Any]] = {}

    def pay(self, key: str, *, amount: int = 100, charge: dict[str, Any] | None = None, **intent: Any) -> str:
        """Make a succeeded payment; ``charge`` and the other arguments change what Stripe says of it."""
        common = {"currency": "usd", "livemode": False, "metadata": {}}
        self.objects[f"ch_{key}"] = {
            **common,
            "id": f"ch_{key}",
            "object": "charge",
            "amount_captured": amount,
            "amount_refunded": 0,
            "captured": True,
            "disputed": False,
            "paid": True,
            "payment_intent": f"pi_{key}",
            "refunded": False,
            "status": "succeeded",
            **(charge or {}),
        }
        self.objects[f"pi_{key}"] = {
            **common,
            "id": f"pi_{key}",
            "object": "payment_intent",
            "amount_received": amount,
            "latest_charge": f"ch_{key}",
            "status": "succeeded",
            **intent,
        }
        self.objects[f"txn_{key}"] = {
            "id": f"txn_{key}",
            "object": "balance_transaction",
            "source": f"ch_{key}",
            "type": "charge",
        }
        return f"pi_{key}"

    def refund(self, key: str, amount: int, *, of: int = 100) -> None:
        """Have refunded so much of a payment up to now."""
        self.objects[f"ch_{key}"] |= {"amount_refunded": amount, "refunded": amount == of}

    def _answer(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["Authorization"] == f"Bearer {STRIPE_KEY}"
        assert request.headers["Stripe-Version"]
        name = request.url.path.rpartition("/")[2]
        if request.method == "POST":
            return self._make(request)
        if "charge" in request.url.params:
            states = self.disputes.get(request.url.params["charge"], [])
            return httpx.Response(200, json={"data": [{"id": "dp_1", "status": state} for state in states]})
        if name in self.returned:
            return httpx.Response(200, json=self._page(self.returned[name], request.url.params.get("starting_after")))
        found = self.objects.get(name)
        if found is None:
            return httpx.Response(404, json={"error": {"code": "resource_missing"}})
        if request.url.params.get("expand[]") == "latest_charge" and isinstance(found["latest_charge"], str):
            found = {**found, "latest_charge": self.objects[found["latest_charge"]]}
        return httpx.Response(200, json=found)

    def _make(self, request: httpx.Request) -> httpx.Response:
        form = dict(parse_qsl(request.content.decode()))
        if int(form["amount"]) < 50:
            return httpx.Response(400, json={"error": {"code": "amount_too_small"}})
        key = f"{len(self.made):08}new"
        made = self.made.setdefault(request.headers["Idempotency-Key"], {"form": form, "key": key})
        if made["form"] != form:
            return httpx.Response(400, json={"error": {"type": "idempotency_error"}})
        if made["key"] == key:
            metadata = {name[9:-1]: value for name, value in form.items() if name.startswith("metadata[")}
            self.pay(
                key,
                amount=int(form["amount"]),
                status="requires_payment_method",
                amount_received=0,
                latest_charge=None,
                metadata=metadata,
                client_secret=f"pi_{key}_secret_xyz",
                currency=form["currency"],
            )
            self.objects[f"pi_{key}"]["amount"] = int(form["amount"])
        return httpx.Response(200, json=self.objects[f"pi_{made['key']}"])

    @staticmethod
    def _page(items: list[dict[str, Any]], after: str | None) -> dict[str, Any]:
        start = next((n + 1 for n, item in enumerate(items) if item["id"] == after), 0)
        return {"data": items[start : start + 2], "has_more": len(items) > start + 2}
