"""AdMob's key server: the public keys with which Google signs rewards, kept while they are good."""

import asyncio
import base64
import binascii
import re
import time
from collections.abc import Callable
from typing import Annotated

import httpx
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from coin_service.errors import AdVerificationUnavailableError
from coin_service.providers.http import MAX_ANSWER_BYTES
from common.http import BodyTooLargeError, read_capped
from common.logging import get_logger

logger = get_logger(__name__)

MAX_AGE_SECONDS = 24 * 3600.0
"""Google: keys must not be kept longer, as they rotate."""

ASK_SECONDS = 4.0
"""For an answer of the key server; Google waits for ours meanwhile."""

PAUSE_SECONDS = 5.0
"""Between two questions to the key server, whatever callbacks name; Google repeats one for about as long."""

MAX_KEYS = 100

_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=\"?([0-9]{1,9})", re.IGNORECASE)
_FORGETFUL = re.compile(r"(?:^|[\s,])no-(?:store|cache)(?:$|[\s,])", re.IGNORECASE)


class _Key(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    id: Annotated[int, Field(alias="keyId", strict=True, ge=0)]
    der: Annotated[str, Field(alias="base64", max_length=4096)]
    """SubjectPublicKeyInfo in padded standard base64."""


class _KeySet(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    keys: Annotated[list[_Key], Field(min_length=1, max_length=MAX_KEYS)]


Keys = dict[int, ec.EllipticCurvePublicKey]


class AdKeyServer:
    """One question at a time, shared by all who wait, and never two within ``PAUSE_SECONDS``.

    The last good set outlives an outage of the key server. An id that it lacks is asked for once more before it is
    called unknown.
    """

    def __init__(self, client: httpx.AsyncClient, url: str, *, now: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._url = url
        self._now = now
        self._keys: Keys = {}
        self._good_until = 0.0
        self._asked_at: float | None = None
        self._answered = False
        self._asking = asyncio.Lock()

    async def find(self, key_id: int) -> ec.EllipticCurvePublicKey | None:
        """Return the key, or ``None`` if Google has none of this id.

        Raises:
            AdVerificationUnavailableError: The key server is away, and the keys at hand do not tell.
        """
        if key_id not in self._keys or self._now() >= self._good_until:
            await self._refresh(key_id)
        key = self._keys.get(key_id)
        if key is None and not self._answered:
            raise AdVerificationUnavailableError
        return key

    async def _refresh(self, key_id: int) -> None:
        async with self._asking:
            good = key_id in self._keys and self._now() < self._good_until
            just_asked = self._asked_at is not None and self._now() < self._asked_at + PAUSE_SECONDS
            if good or just_asked:
                return
            try:
                async with asyncio.timeout(ASK_SECONDS):
                    keys, seconds = await self._ask()
            except (TimeoutError, httpx.HTTPError, BodyTooLargeError, ValueError) as error:
                self._answered = False
                logger.error("admob keys not read", error=type(error).__name__, known=len(self._keys))
            else:
                self._keys, self._answered = keys, True
                self._good_until = self._now() + seconds
                logger.info("admob keys read", keys=len(keys), good_for_seconds=seconds)
            finally:
                self._asked_at = self._now()

    async def _ask(self) -> tuple[Keys, float]:
        """Return the keys and how long they may be kept.

        Raises:
            ValueError: The answer is not a set of keys.
            BodyTooLargeError: Nor can it be one.
        """
        async with self._client.stream("GET", self._url) as response:
            if response.headers.get("content-encoding", "identity") != "identity":
                raise ValueError("a compressed answer, which was not asked for")
            body = await read_capped(response, MAX_ANSWER_BYTES)
        if response.status_code != httpx.codes.OK:
            raise ValueError(f"status {response.status_code}")
        try:
            listed = _KeySet.model_validate_json(body).keys
        except ValidationError as error:
            raise ValueError("not a set of keys") from error
        keys = {key.id: loaded for key in listed if (loaded := _load(key.der)) is not None}
        if not keys:
            raise ValueError("no key that can be used")
        return keys, _lifetime(response.headers)


def _load(text: str) -> ec.EllipticCurvePublicKey | None:
    """Read a key, on whichever curve it says it is; ``None`` if it is of no use here."""
    try:
        key = load_der_public_key(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, ec.EllipticCurvePublicKey) else None


def _lifetime(headers: httpx.Headers) -> float:
    """Seconds for which an answer may be used: ``max-age`` less ``Age``, a day at most."""
    control = headers.get("cache-control", "")
    if _FORGETFUL.search(control):
        return PAUSE_SECONDS
    match = _MAX_AGE.search(control)
    age = headers.get("age", "")
    seconds = float(match[1]) if match else MAX_AGE_SECONDS
    seconds -= float(age) if re.fullmatch(r"[0-9]{1,9}", age) else 0.0
    return min(MAX_AGE_SECONDS, max(PAUSE_SECONDS, seconds))
