"""Google's certificates, and the pushes that are signed under them."""

import time
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from coin_service.testing.vendor import Vendor


class FakeCertificates(Vendor):
    """Google's certificates, and the one who signs pushes."""

    audience = "https://api.example.com/api/coin/webhooks/google-play"
    email = "push@project.iam.gserviceaccount.com"

    def __init__(self) -> None:
        super().__init__()
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def sign(self, **claims: Any) -> str:
        now = int(time.time())
        genuine: dict[str, Any] = {"aud": self.audience, "email": self.email, "email_verified": True}
        genuine |= {"iss": "https://accounts.google.com", "iat": now, "exp": now + 3600}
        return "Bearer " + jwt.encode(genuine | claims, self.key, algorithm="RS256", headers={"kid": "one"})

    def _answer(self, request: httpx.Request) -> httpx.Response:
        public = self.key.public_key()
        pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        return httpx.Response(200, json={"one": pem.decode()})
