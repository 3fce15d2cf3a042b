"""Ids that Stripe hands out."""

import secrets
import string

_LETTERS = string.ascii_letters + string.digits


def request_id() -> str:
    """Names one call for support."""
    return "req_" + new_key(14)


def new_key(length: int = 24) -> str:
    """What follows the prefix of a new object's id."""
    return "".join(secrets.choice(_LETTERS) for _ in range(length))
