"""Real-time developer notifications as Pub/Sub pushes them, with the OpenID token that Google signs."""

import base64
import json
import secrets
import threading
import time
from datetime import datetime, timedelta
from typing import Any, Literal

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from common.clock import format_timestamp, utc_now
from sandbox_service.google.purchases import Purchase

TOKEN_SECONDS = 3600
DEFAULT_PACKAGE = "com.example.app"
"""Of a purchase that no app has asked for yet."""

NotificationType = int | Literal["voided"]

Json = dict[str, Any]


class PushSigner:
    """Google's key for OpenID tokens, and another's, to forge with; making them takes a moment, so at the first use."""

    def __init__(self) -> None:
        self._made: tuple[rsa.RSAPrivateKey, rsa.RSAPrivateKey] | None = None
        self._key_id = secrets.token_hex(20)
        self._making = threading.Lock()

    def _keys(self) -> tuple[rsa.RSAPrivateKey, rsa.RSAPrivateKey]:
        with self._making:
            if self._made is None:
                genuine, forged = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
                self._made = genuine, forged
            return self._made

    def certificates(self) -> dict[str, str]:
        """``{key id: certificate}``, as at ``https://www.googleapis.com/oauth2/v1/certs``."""
        key, _ = self._keys()
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "federated-signon.sandbox")])
        now = utc_now()
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=14))
            .sign(key, hashes.SHA256())
        )
        return {self._key_id: certificate.public_bytes(serialization.Encoding.PEM).decode()}

    def token(self, *, audience: str, email: str, age_seconds: float = 0, forged: bool = False) -> str:
        """An OpenID token of the push service account, good for an hour."""
        key, forger = self._keys()
        issued = int(time.time() - age_seconds)
        claims = {
            "aud": audience,
            "azp": "100000000000000000001",
            "email": email,
            "email_verified": True,
            "exp": issued + TOKEN_SECONDS,
            "iat": issued,
            "iss": "https://accounts.google.com",
            "sub": "100000000000000000001",
        }
        return jwt.encode(claims, forger if forged else key, "RS256", headers={"kid": self._key_id})


def notification(purchase: Purchase, type_: NotificationType, now: datetime, *, subscription_id: str | None) -> Json:
    """What the app is told: of a voided purchase that it is, else what the number says."""
    body: Json = {
        "version": "1.0",
        "packageName": purchase.package or DEFAULT_PACKAGE,
        "eventTimeMillis": str(int(now.timestamp() * 1000)),
    }
    is_product = purchase.kind == "product"
    if type_ == "voided" or (is_product and purchase.voided is not None):
        body["voidedPurchaseNotification"] = {
            "purchaseToken": purchase.token,
            "orderId": purchase.order_id,
            "productType": 2 if is_product else 1,
            "refundType": 1,
        }
    elif is_product:
        body["oneTimeProductNotification"] = {
            "version": "1.0",
            "notificationType": type_,
            "purchaseToken": purchase.token,
            "sku": purchase.product_id,
        }
    else:
        told: Json = {"version": "1.0", "notificationType": type_, "purchaseToken": purchase.token}
        body["subscriptionNotification"] = told | ({"subscriptionId": subscription_id} if subscription_id else {})
    return body


def push(content: Json, now: datetime) -> Json:
    """The envelope of a Pub/Sub push; snake_case twins of some fields are sent along, as there."""
    message_id, published = str(10**14 + secrets.randbelow(10**14)), format_timestamp(now)
    return {
        "message": {
            "attributes": {},
            "data": base64.b64encode(json.dumps(content).encode()).decode(),
            "messageId": message_id,
            "message_id": message_id,
            "publishTime": published,
            "publish_time": published,
        },
        "subscription": "projects/pixelmint-sandbox/subscriptions/play-rtdn",
    }
