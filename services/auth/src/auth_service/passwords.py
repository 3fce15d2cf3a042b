"""Passwords: which are allowed, and how they are kept."""

import asyncio
import base64
import hmac
import secrets
import unicodedata
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Self, TypeVar

import bcrypt
from prometheus_client import Histogram

from auth_service.errors import PasswordsBusyError
from common.email_address import email_key

MIN_CHARACTERS = 8
MAX_CHARACTERS = 128

SLOTS = 2
"""Password checks at once in one process: each takes a core for itself."""

MAX_WAITING = 32
"""Requests in line for a slot: about 4 s at 12 rounds on an idle machine."""

MAX_WAIT_SECONDS = 8.0
"""On a busy one the line moves slower; with the check itself this still ends before the gateway's 10 s."""

BCRYPT_SECONDS = Histogram("bcrypt_seconds", "Seconds of one run of bcrypt", ["operation"])

COMMON_PASSWORDS = frozenset(files("auth_service").joinpath("common_passwords.txt").read_text("utf-8").split())

ResultT = TypeVar("ResultT")


def compose(password: str) -> str:
    """Return the form in which a password is compared, so that every keyboard types the same one.

    Raises:
        ValueError: It holds half a character, which no encoding can write.
    """
    if any("\ud800" <= character <= "\udfff" for character in password):
        raise ValueError("must be valid Unicode")
    return unicodedata.normalize("NFC", password)


def check_new_password(password: str, email: str | None) -> str:
    """Return a new password as it is compared.

    Length and not being among the first guesses is all that is asked, as NIST SP 800-63B (section 3.1.1.2) has it.

    Raises:
        ValueError: It is too short, too long, or what everybody would guess first.
    """
    composed = compose(password)
    if not MIN_CHARACTERS <= len(composed) <= MAX_CHARACTERS:
        raise ValueError(f"must be {MIN_CHARACTERS} to {MAX_CHARACTERS} characters")
    if composed.lower() in COMMON_PASSWORDS:
        raise ValueError("is one of the commonest passwords")
    if email is not None and email_key(composed.strip()) == email_key(email):
        raise ValueError("must not be the e-mail address")
    return composed


def _digest(password: str) -> bytes:
    """Return 64 characters that stand for all of a password.

    bcrypt reads 72 bytes at most, and some of its kin stop at a NUL; base64 has none. The key makes the digest worth
    nothing to one who holds plain SHA-384 digests stolen elsewhere and would try them in place of passwords.
    """
    return base64.b64encode(hmac.digest(b"pixelmint password 1", password.encode(), "sha384"))


class PasswordHasher:
    """bcrypt in threads of its own, never on the event loop; few at a time, and a line that ends somewhere.

    Args:
        rounds: bcrypt's cost.
        slots: Runs at once.
        max_waiting: Requests in line; one more is turned away.
        max_wait_seconds: In line; whoever has stood there so long is turned away.
    """

    def __init__(
        self,
        *,
        rounds: int,
        slots: int = SLOTS,
        max_waiting: int = MAX_WAITING,
        max_wait_seconds: float = MAX_WAIT_SECONDS,
    ) -> None:
        self._rounds = rounds
        self._threads = ThreadPoolExecutor(slots, thread_name_prefix="bcrypt")
        self._slots = asyncio.Semaphore(slots)
        self._waiting = 0
        self._max_waiting = max_waiting
        self._max_wait_seconds = max_wait_seconds
        # A real hash of the same cost, of a password nobody has: an unknown address takes as long as a known one.
        self._nobodys_hash = self._hash(secrets.token_urlsafe())

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[Self]:
        """Stand in line for the right to call ``hash`` and ``verify``.

        Raises:
            PasswordsBusyError: The line is full, or moves too slowly.
        """
        if self._slots.locked() and self._waiting >= self._max_waiting:
            raise PasswordsBusyError
        self._waiting += 1
        try:
            async with asyncio.timeout(self._max_wait_seconds):
                await self._slots.acquire()
        except TimeoutError as error:
            raise PasswordsBusyError from error
        finally:
            self._waiting -= 1
        try:
            yield self
        finally:
            self._slots.release()

    async def hash(self, password: str) -> str:
        return await self._run("hash", lambda: self._hash(password))

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """Whether ``password`` made ``password_hash``; as much work for nobody's (``None``) as for somebody's."""
        kept = (password_hash or self._nobodys_hash).encode()
        matches = await self._run("verify", lambda: bcrypt.checkpw(_digest(password), kept))
        return matches and password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        """Whether a hash was made at another cost than today's, and so tells by its time that it exists."""
        return not password_hash.startswith(f"$2b${self._rounds:02d}$")

    def _hash(self, password: str) -> str:
        return bcrypt.hashpw(_digest(password), bcrypt.gensalt(self._rounds)).decode()

    async def _run(self, operation: str, work: Callable[[], ResultT]) -> ResultT:
        def timed() -> ResultT:
            with BCRYPT_SECONDS.labels(operation).time():
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._threads, timed)
