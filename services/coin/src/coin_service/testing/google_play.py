"""Google Play: one-time products, and the service account that may ask for them."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from coin_service.testing.vendor import Vendor

PACKAGE = "com.example.app"


class FakePlay(Vendor):
    """One-time products by their purchase tokens, and the address where access tokens come from.

    Attributes:
        purchases: What Google says of a token.
        consumed: Tokens, in the order in which they were consumed.
        access_token: The one that is good.
        voided: What the list of voided purchases says.
    """

    def __init__(self) -> None:
        super().__init__()
        self.purchases: dict[str, dict[str, Any]] = {}
        self.consumed: list[str] = []
        self.access_token = "ya29.one"
        self.voided: list[dict[str, Any]] = []

    def sell(self, token: str, **purchase: Any) -> str:
        self.purchases[token] = {"purchaseState": 0, "consumptionState": 0, "acknowledgementState": 0, **purchase}
        return token

    @property
    def token_transport(self) -> httpx.MockTransport:
        def give(_: httpx.Request) -> httpx.Response:
            return httpx.Response(200, json={"access_token": self.access_token, "expires_in": 3599})

        return httpx.MockTransport(give)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.headers["Authorization"] != f"Bearer {self.access_token}":
            return httpx.Response(401, json={"error": {"code": 401}})
        path, _, verb = request.url.raw_path.decode().partition(":")
        if request.url.path == f"/androidpublisher/v3/applications/{PACKAGE}/purchases/voidedpurchases":
            return self._list_voided(request)
        head, _, token = path.rpartition("/")
        assert head.startswith(f"/androidpublisher/v3/applications/{PACKAGE}/purchases/products/")
        purchase = self.purchases.get(unquote(token))
        if purchase is None:
            return httpx.Response(404, json={"error": {"code": 404}})
        if verb == "consume":
            if purchase["consumptionState"]:
                return httpx.Response(400, json={"error": {"errors": [{"reason": "productNotOwnedByUser"}]}})
            purchase["consumptionState"] = 1
            self.consumed.append(unquote(token))
            return httpx.Response(204)
        return httpx.Response(200, json=purchase)

    def _list_voided(self, request: httpx.Request) -> httpx.Response:
        """Pages of two."""
        assert int(request.url.params["startTime"]) > 1_700_000_000_000
        start = int(request.url.params.get("token", "0"))
        if not self.voided:
            return httpx.Response(200, json={})
        rest = {"tokenPagination": {"nextPageToken": str(start + 2)}} if start + 2 < len(self.voided) else {}
        return httpx.Response(200, json={"voidedPurchases": self.voided[start : start + 2], **rest})


def write_key_file(path: Path) -> None:
    """Write the key of a service account whose tokens come from ``FakePlay.token_transport``."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    content = {
        "type": "service_account",
        "client_email": "play@project.iam.gserviceaccount.com",
        "private_key": pem.decode(),
        "token_uri": "http://google.test/token",
    }
    path.write_text(json.dumps(content))
