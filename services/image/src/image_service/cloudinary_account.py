"""An account at Cloudinary: who we are there, and what proves it.

Signatures: https://cloudinary.com/documentation/signatures and /response_signatures
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

ALGORITHMS = ("sha1", "sha256")

_URL = re.compile(r"cloudinary://[^\s:@/?#]+:[^\s:@/?#]+@[A-Za-z0-9_-]+/?(\?[^\s#]*)?")


@dataclass(frozen=True, slots=True)
class CloudinaryAccount:
    """A cloud, and the key and secret of its API."""

    cloud: str
    key: str
    secret: str = field(repr=False)
    algorithm: str = "sha1"
    """What the account's settings name; Cloudinary's own default is the first."""

    @classmethod
    def of(cls, url: str) -> Self:
        """Read ``cloudinary://<key>:<secret>@<cloud>[?signature_algorithm=sha256]``, as Cloudinary's own SDKs do.

        Raises:
            ValueError: It is not that; the text does not say what it was.
        """
        if not _URL.fullmatch(url):
            raise ValueError("must be cloudinary://<API key>:<API secret>@<cloud name>")
        address = urlsplit(url)
        credentials, _, cloud = address.netloc.rpartition("@")
        key, _, secret = credentials.partition(":")
        algorithm = parse_qs(address.query).get("signature_algorithm", ["sha1"])[-1]
        if algorithm not in ALGORITHMS:
            raise ValueError(f"signature_algorithm must be one of {', '.join(ALGORITHMS)}")
        return cls(cloud, unquote(key), unquote(secret), algorithm)

    def signed(self, parameters: Mapping[str, str]) -> dict[str, str]:
        """Return all that a request must carry besides its file."""
        return {**parameters, "api_key": self.key, "signature": self.signature(parameters)}

    def signature(self, parameters: Mapping[str, str], *, escaped: bool = True) -> str:
        """Sign parameters; in answers Cloudinary does it by the first version of the rules, which escapes nothing."""
        pairs = [f"{name}={value}" for name, value in parameters.items() if value]
        text = "&".join(sorted(pair.replace("&", "%26") if escaped else pair for pair in pairs))
        return hashlib.new(self.algorithm, (text + self.secret).encode()).hexdigest()

    def has_signed(self, public_id: str, version: int, signature: str) -> bool:
        """Whether an answer about an asset comes from somebody who knows the secret."""
        expected = self.signature({"public_id": public_id, "version": str(version)}, escaped=False)
        return hmac.compare_digest(expected, signature)
