"""The sandbox's own Google service account: a key file of the real shape with a key that only the sandbox trusts.

``python -m sandbox_service.credentials --out play.json --base-url http://127.0.0.1:5010`` makes or re-addresses one.
"""

import argparse
import json
import os
import secrets
import sys
import tempfile
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

PROJECT_ID = "pixelmint-sandbox"
CLIENT_EMAIL = f"play@{PROJECT_ID}.iam.gserviceaccount.com"
KEY_BITS = 2048


class ForeignCredentialsError(Exception):
    """There is a file, and it is not the sandbox's: it is left alone."""


def ensure_service_account(path: Path, base_url: str, *, world_readable: bool = False) -> dict[str, Any]:
    """The service account in ``path``; made if absent, its ``token_uri`` brought up to date, its key kept.

    Two processes may do so at once: both end up with the key of the one that was first.

    Args:
        path: The file; its folder is made if need be.
        base_url: Where the services reach the sandbox, without a path.
        world_readable: Mode 0644 instead of 0600.

    Raises:
        ForeignCredentialsError: The file holds something else, a real account's key for instance.
    """
    token_uri = f"{base_url.rstrip('/')}/token"
    mode = 0o644 if world_readable else 0o600
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        draft = _write_beside(path, _new_account(token_uri), mode)
        try:
            os.link(draft, path)  # Fails if another was faster, and then theirs is the key.
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    account = read_service_account(path)
    if account.get("token_uri") != token_uri:
        account["token_uri"] = token_uri
        _write_beside(path, account, mode).replace(path)
    elif path.stat().st_mode & 0o777 != mode:
        path.chmod(mode)
    return account


def read_service_account(path: Path) -> dict[str, Any]:
    """The account in a key file that this module wrote.

    Raises:
        ForeignCredentialsError: It is another's.
    """
    try:
        account = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ForeignCredentialsError(f"{path} is not JSON") from error
    if not isinstance(account, dict) or account.get("project_id") != PROJECT_ID:
        raise ForeignCredentialsError(f"{path} does not belong to the sandbox; it is left as it is")
    return account


def _new_account(token_uri: str) -> dict[str, Any]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return {
        "type": "service_account",
        "project_id": PROJECT_ID,
        "private_key_id": secrets.token_hex(20),
        "private_key": pem.decode(),
        "client_email": CLIENT_EMAIL,
        "client_id": "100000000000000000001",
        "token_uri": token_uri,
        "universe_domain": "googleapis.com",
    }


def _write_beside(path: Path, account: dict[str, Any], mode: int) -> Path:
    """A finished file in the same folder, to be moved into place whole; ``mkstemp`` makes it 0600."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(account, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    draft = Path(name)
    draft.chmod(mode)
    return draft


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox_service.credentials", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the key file to make or bring up to date")
    parser.add_argument("--base-url", required=True, help="where the services reach the sandbox")
    parser.add_argument("--world-readable", action="store_true", help="mode 0644 instead of 0600")
    options = parser.parse_args(arguments)
    try:
        account = ensure_service_account(options.out, options.base_url, world_readable=options.world_readable)
    except ForeignCredentialsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{options.out}: {account['client_email']}, token_uri {account['token_uri']}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
