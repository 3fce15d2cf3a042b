"""The founding specification's endpoints, each with a request it takes."""

from dataclasses import dataclass
from typing import Any

from journey.phone import PASSWORD, fresh_email, fresh_payment, fresh_purchase


@dataclass(frozen=True)
class Endpoint:
    """One endpoint; ``template`` is its path in the OpenAPI schema, ``path`` one that can be asked for."""

    method: str
    path: str
    template: str = ""
    is_public: bool = False
    takes_body: bool = False

    def body(self) -> dict[str, Any] | None:
        """A body it takes, different each time where it must be."""
        if not self.takes_body:
            return None
        bodies: dict[str, dict[str, Any]] = {
            "/api/auth/register": {"email": fresh_email(), "password": PASSWORD, "name": "Ada"},
            "/api/auth/login": {"email": fresh_email(), "password": PASSWORD},
            "/api/user/profile": {"name": "Ada"},
            "/api/coin/buy": {"amount": 100, "paymentMethod": "stripe", "transactionId": fresh_payment()},
            "/api/coin/earn": {"amount": 10, "source": "ad_watch"},
            "/api/coin/deduct": {"amount": 5},
            "/api/image/generate": {"prompt": "a lighthouse at dusk"},
            "/api/subscription/verify": {
                "purchaseToken": fresh_purchase(),
                "productId": "pro_monthly",
                "packageName": "com.example.app",
            },
        }
        return bodies[self.path]

    def __str__(self) -> str:
        return f"{self.method} {self.template or self.path}"


NO_IMAGE = "/api/image/000000000000000000000000"

STARRED = (
    Endpoint("POST", "/api/auth/register", is_public=True, takes_body=True),
    Endpoint("POST", "/api/auth/login", is_public=True, takes_body=True),
    Endpoint("GET", "/api/user/profile"),
    Endpoint("PUT", "/api/user/profile", takes_body=True),
    Endpoint("GET", "/api/coin/balance"),
    Endpoint("GET", "/api/coin/transactions"),
    Endpoint("POST", "/api/coin/buy", takes_body=True),
    Endpoint("POST", "/api/coin/earn", takes_body=True),
    Endpoint("POST", "/api/coin/deduct", takes_body=True),
    Endpoint("POST", "/api/image/generate", takes_body=True),
    Endpoint("GET", "/api/image/history"),
    Endpoint("GET", NO_IMAGE, "/api/image/{}"),
    Endpoint("DELETE", NO_IMAGE, "/api/image/{}"),
    Endpoint("POST", "/api/subscription/verify", takes_body=True),
    Endpoint("GET", "/api/subscription/status"),
)

GUARDED = tuple(endpoint for endpoint in STARRED if not endpoint.is_public)
WRITING = tuple(endpoint for endpoint in STARRED if endpoint.takes_body)
