"""Who may: requests signed with the account's secret, or sent with it."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from starlette.requests import Request

from sandbox_service.cloudinary.errors import CloudinaryError

API_SECRET = "sandbox-secret"
"""Of every cloud; the key may be any."""

SIGNATURE_LIFE = timedelta(hours=1)

_UNSIGNED = frozenset(("file", "cloud_name", "resource_type", "api_key", "signature"))
_ALGORITHMS = {40: "sha1", 64: "sha256"}


def string_to_sign(parameters: Mapping[str, str]) -> str:
    """All that is signed of a request, by the second version of the rules."""
    pairs = (f"{name}={value}" for name, value in parameters.items() if name not in _UNSIGNED and value)
    return "&".join(sorted(pair.replace("&", "%26") for pair in pairs))


def sign(text: str, algorithm: str = "sha1") -> str:
    return hashlib.new(algorithm, (text + API_SECRET).encode()).hexdigest()


def check(parameters: Mapping[str, str], now: datetime) -> str:
    """Let a well-signed request pass; returns the algorithm, in which it is answered."""
    signature = parameters.get("signature")
    if not signature:
        raise CloudinaryError(400, "Upload preset must be specified when using unsigned upload")
    if not parameters.get("api_key"):
        raise CloudinaryError(401, "Must supply api_key")
    if not parameters.get("timestamp", "").isdecimal():
        raise CloudinaryError(400, "Missing required parameter - timestamp")
    text, algorithm = string_to_sign(parameters), _ALGORITHMS.get(len(signature), "sha1")
    if not hmac.compare_digest(sign(text, algorithm).encode(), signature.encode()):
        raise CloudinaryError(401, f"Invalid Signature {signature[:64]}. String to sign - '{text}'.")
    reported = datetime.fromtimestamp(min(int(parameters["timestamp"]), 32_503_680_000), UTC)
    if now - reported > SIGNATURE_LIFE:
        raise CloudinaryError(
            400, f"Stale request - reported time is {reported:%Y-%m-%d %H:%M:%S} +0000 which is more than 1 hour ago"
        )
    return algorithm


def check_basic(request: Request) -> None:
    """Let a call of the Admin API pass that brings key and secret."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    try:
        key, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        key = secret = ""
    if scheme.lower() != "basic" or not key or not hmac.compare_digest(secret.encode(), API_SECRET.encode()):
        raise CloudinaryError(401, "Invalid credentials")
