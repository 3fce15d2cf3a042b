"""The service account that the token endpoint trusts, and the access tokens it signs."""

import hashlib
import hmac
import time
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from sandbox_service.credentials import ForeignCredentialsError, ensure_service_account, read_service_account

TOKEN_TTL_SECONDS = 3599
SCOPE = "https://www.googleapis.com/auth/androidpublisher"


@dataclass(frozen=True)
class Account:
    key_id: str
    email: str
    public_key: RSAPublicKey
    token_secret: bytes
    """Signs access tokens; derived from the private key, so that tokens outlive a restart of the sandbox."""


class ServiceAccountKey:
    """The account in the credentials file, read again whenever the file has changed."""

    def __init__(self, path: Path | None, base_url: str) -> None:
        self.token_uri = f"{base_url}/token"
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._account: Account | None = None

    def ensure(self, base_url: str, *, world_readable: bool) -> None:
        """Make the file if there is to be one."""
        if self._path is not None:
            ensure_service_account(self._path, base_url, world_readable=world_readable)

    def find(self) -> Account | None:
        """``None`` without a credentials file: then nobody is known."""
        if self._path is None or not self._path.exists():
            return None
        status = self._path.stat()
        if self._account is None or self._seen != (status.st_ino, status.st_mtime_ns):
            self._account = _load(self._path)
            self._seen = (status.st_ino, status.st_mtime_ns)
        return self._account

    def issue(self, account: Account) -> str:
        """An access token that needs no memory: ``ya29.<expiry>.<mac>``."""
        expires = str(int(time.time()) + TOKEN_TTL_SECONDS)
        return f"ya29.{expires}.{_mac(account, expires)}"

    def is_valid(self, token: str) -> bool:
        account = self.find()
        kind, _, rest = token.partition(".")
        expires, _, mac = rest.partition(".")
        if account is None or kind != "ya29" or not expires.isascii() or not expires.isdigit():
            return False
        return hmac.compare_digest(mac.encode(), _mac(account, expires).encode()) and int(expires) > time.time()


def _load(path: Path) -> Account:
    content = read_service_account(path)
    private_key = serialization.load_pem_private_key(content["private_key"].encode(), password=None)
    if not isinstance(private_key, RSAPrivateKey):
        raise ForeignCredentialsError(f"{path} holds a key that is not RSA")
    secret = hashlib.sha256(b"sandbox access tokens" + content["private_key"].encode()).digest()
    return Account(content["private_key_id"], content["client_email"], private_key.public_key(), secret)


def _mac(account: Account, expires: str) -> str:
    return hmac.new(account.token_secret, f"{account.key_id}.{expires}".encode(), hashlib.sha256).hexdigest()
