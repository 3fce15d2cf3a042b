"""AdMob: signed callbacks, and the server of the keys for them."""

import base64
from urllib.parse import quote

import httpx
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from coin_service.testing.vendor import Vendor


class FakeAdMob(Vendor):
    """The key server, and the one who signs."""

    def __init__(self) -> None:
        super().__init__()
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.key_id = 2**40 + 7
        self.headers = {"Cache-Control": "private, max-age=3600"}

    def sign(self, signed: str, *, raw: str | None = None) -> bytes:
        """Return the query of a callback: what is signed, and how it is sent, by default with every value escaped."""
        if raw is None:
            parts = [part.partition("=") for part in signed.split("&")]
            raw = "&".join(f"{name}={quote(value, safe='')}" for name, _, value in parts)
        signature = base64.urlsafe_b64encode(self.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256()))).decode()
        return f"{raw}&signature={signature.rstrip('=')}&key_id={self.key_id}".encode()

    def _answer(self, request: httpx.Request) -> httpx.Response:
        der = self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        keys = [{"keyId": self.key_id, "pem": "", "base64": base64.b64encode(der).decode()}]
        return httpx.Response(200, json={"keys": keys}, headers=self.headers)
