"""Sign callbacks as Google does: ECDSA with SHA-256 over the percent-decoded query string."""

import base64
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

AD_NETWORK = "5450213213286189855"
"""The AdMob network."""


class AdMobSigner:
    """One key, made when the sandbox starts; whoever kept an older one asks again."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._forger = ec.generate_private_key(ec.SECP256R1())
        self._key_id = 2**32 + secrets.randbelow(2**40)

    def key_set(self) -> dict[str, Any]:
        """The public keys, as the key server has them."""
        public = self._key.public_key()
        der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return {"keys": [{"keyId": self._key_id, "pem": pem.decode(), "base64": base64.b64encode(der).decode()}]}

    def query(self, fields: Mapping[str, str], *, forged: bool = False) -> str:
        """The query string of a callback: ``fields`` by name, then ``signature`` and ``key_id``.

        Args:
            fields: Plain values.
            forged: Sign with a key that the key server does not have, under the id of one that it has.
        """
        names = sorted(fields)
        signed = "&".join(f"{name}={fields[name]}" for name in names)
        sent = "&".join(f"{name}={quote(fields[name], safe='')}" for name in names)
        key = self._forger if forged else self._key
        signature = base64.urlsafe_b64encode(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256()))).decode()
        return f"{sent}&signature={signature.rstrip('=')}&key_id={self._key_id}"
