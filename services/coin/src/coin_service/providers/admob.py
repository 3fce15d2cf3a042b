"""AdMob's server-side verification callbacks: what Google signed, and nothing else.

Signed is the query string up to ``&signature=``, percent-decoded (``+`` stays a plus). The decoded text alone does
not say where one value ends: ``custom_data=x%26user_id%3Dada`` and ``custom_data=x&user_id=ada`` are signed alike, and
whoever has an ad unit of their own gets callbacks signed by the same keys. So names must be written without escapes,
each once, and the numbers in front, the ad unit among them, must be digits: they can then be cut in one way only.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Protocol, Self
from urllib.parse import unquote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import BaseModel, ConfigDict

from coin_service.errors import InvalidSignatureError

MAX_QUERY_CHARACTERS = 4096
MAX_TRANSACTION_ID_CHARACTERS = 256

_MARK = "&signature="
_TAIL = re.compile(r"([A-Za-z0-9_-]{1,512}={0,2})&key_id=([0-9]{1,20})")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_DIGITS = re.compile(r"[0-9]{1,20}")
_NUMBERS = ("ad_network", "ad_unit", "reward_amount", "timestamp")
_NOT_SIGNED = ("signature", "key_id")

_MICROSECONDS_FROM = 10**14
"""Callbacks carry milliseconds (13 digits); Google's documented example has 16."""


class AdKeys(Protocol):
    """Google's public keys."""

    async def find(self, key_id: int) -> ec.EllipticCurvePublicKey | None:
        """Return the key, or ``None`` if Google has none of this id.

        Raises:
            AdVerificationUnavailableError: That cannot be known now.
        """


class AdReward(BaseModel):
    """What one callback says; ``custom_data`` is of no use here and not kept."""

    model_config = ConfigDict(frozen=True)

    transaction_id: str | None
    user_id: str | None
    """What the app told Google."""
    ad_unit: str | None
    """The digits after the slash of ``ca-app-pub-…/2747237135``."""
    amount: int
    """As set for the ad unit in AdMob's console; 0 if it was missing."""
    rewarded_at: datetime | None
    """``None`` if the time was missing or is none."""

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> Self:
        transaction_id = fields.get("transaction_id", "")
        return cls(
            transaction_id=transaction_id if 1 <= len(transaction_id) <= MAX_TRANSACTION_ID_CHARACTERS else None,
            user_id=fields.get("user_id") or None,
            ad_unit=fields.get("ad_unit"),
            amount=int(fields.get("reward_amount", "0")),
            rewarded_at=_moment(int(fields.get("timestamp", "0"))),
        )


async def verify(query: bytes, keys: AdKeys) -> AdReward:
    """Return what a callback says, if Google signed it.

    Args:
        query: The raw query string, byte for byte as it came.
        keys: Where the public keys are.

    Raises:
        InvalidSignatureError: It is not Google's.
        AdVerificationUnavailableError: The keys cannot be had, so nothing is known.
    """
    head, signature, key_id = _cut(query)
    fields = _fields(head)
    key = await keys.find(key_id)
    if key is None:
        raise InvalidSignatureError
    try:
        key.verify(signature, unquote(head).encode(), ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError) as error:
        raise InvalidSignatureError from error
    return AdReward.of(fields)


def _cut(query: bytes) -> tuple[str, bytes, int]:
    """Cut first, decode later: no decoded ``&`` can move the boundary."""
    if len(query) > MAX_QUERY_CHARACTERS or not query.isascii():
        raise InvalidSignatureError
    head, mark, tail = query.decode("ascii").rpartition(_MARK)
    parts = _TAIL.fullmatch(tail)
    if not mark or not head or parts is None:
        raise InvalidSignatureError
    text = parts[1].rstrip("=")
    try:
        signature = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidSignatureError from error
    return head, signature, int(parts[2])


def _fields(head: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for part in head.split("&"):
        name, equals, value = part.partition("=")
        if not equals or not _NAME.fullmatch(name) or name in fields or name in _NOT_SIGNED:
            raise InvalidSignatureError
        if name in _NUMBERS and not _DIGITS.fullmatch(value):
            raise InvalidSignatureError
        fields[name] = unquote(value)
    return fields


def _moment(number: int) -> datetime | None:
    milliseconds = number // 1000 if number >= _MICROSECONDS_FROM else number
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds > 0 else None
    except (OverflowError, OSError, ValueError):
        return None
