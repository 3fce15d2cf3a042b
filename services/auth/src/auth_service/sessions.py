"""Sessions: an access token that lives for a while, and a refresh token that is good once."""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

from auth_service.errors import InvalidRefreshTokenError, TokenReusedError
from auth_service.models import Account, Session, TokenPair
from auth_service.store import AccountStore, SessionStore
from common.auth import TokenIssuer
from common.clock import utc_now
from common.logging import get_logger

logger = get_logger(__name__)

SECRET_BYTES = 32
FORGIVENESS = timedelta(seconds=30)
"""How long the token before the current one still gives the current one: its answer may have been lost."""

REMEMBERED_TOKENS = 50
"""Used tokens of a session that are known again as stolen; an older one is refused, but ends nothing."""


class SessionService:
    """Opens sessions and keeps them going.

    A refresh token is the session's id and 256 random bits. The next one is made of it and a stored nonce, so that the
    same old token gives the same new one twice, and neither the database nor the old token alone can make it.
    """

    def __init__(
        self,
        sessions: SessionStore,
        accounts: AccountStore,
        issuer: TokenIssuer,
        *,
        ttl: timedelta,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._sessions = sessions
        self._accounts = accounts
        self._issuer = issuer
        self._ttl = ttl
        self._now = now

    async def open(self, account: Account) -> TokenPair:
        secret = secrets.token_bytes(SECRET_BYTES)
        now = self._now()
        session = Session(user_id=account.id, token_hash=_hash(secret), created_at=now, expires_at=now + self._ttl)
        await self._sessions.add(session)
        return self._pair(account, session, secret)

    async def refresh(self, refresh_token: str) -> TokenPair:
        """Exchange a refresh token for the next pair.

        Raises:
            InvalidRefreshTokenError: It is not one of ours, or its session has ended.
            TokenReusedError: Its successor was used already, or 30 s have passed; the session is ended.
        """
        session_id, secret = _read(refresh_token)
        presented = _hash(secret)
        while (session := await self._sessions.find(session_id)) is not None and session.is_open(self._now()):
            account = await self._accounts.find(session.user_id)
            if account is None:
                break
            if presented == session.token_hash:
                rotated = self._rotated(session, secret)
                if await self._sessions.rotate(rotated, from_hash=presented):
                    return self._pair(account, rotated, _successor(secret, rotated))
                continue  # another request with this token was faster: it is the one before, by now
            if self._is_forgiven(session, presented):
                return self._pair(account, session, _successor(secret, session))
            if presented in session.used_hashes:
                logger.warning("refresh token reused", session_id=session.id, user_id=session.user_id)
                await self._sessions.end(session.id, self._now())
                raise TokenReusedError
            break
        raise InvalidRefreshTokenError

    def _rotated(self, session: Session, secret: bytes) -> Session:
        now = self._now()
        nonce = secrets.token_hex(SECRET_BYTES)
        return session.changed(
            nonce=nonce,
            token_hash=_hash(_derive(secret, nonce)),
            used_hashes=[*session.used_hashes, session.token_hash][-REMEMBERED_TOKENS:],
            rotated_at=now,
            expires_at=now + self._ttl,
        )

    def _is_forgiven(self, session: Session, presented: str) -> bool:
        return (
            session.rotated_at is not None
            and presented == session.used_hashes[-1]
            and self._now() <= session.rotated_at + FORGIVENESS
        )

    def _pair(self, account: Account, session: Session, secret: bytes) -> TokenPair:
        return TokenPair(
            access_token=self._issuer.issue(account.id, account.email, session.id),
            refresh_token=base64.urlsafe_b64encode(bytes.fromhex(session.id) + secret).decode().rstrip("="),
            expires_in=self._issuer.ttl_seconds,
        )


def _read(refresh_token: str) -> tuple[str, bytes]:
    try:
        padded = refresh_token.encode("ascii") + b"=" * (-len(refresh_token) % 4)
        content = base64.b64decode(padded, altchars=b"-_", validate=True)
    except (ValueError, binascii.Error) as error:
        raise InvalidRefreshTokenError from error
    if len(content) != 12 + SECRET_BYTES:
        raise InvalidRefreshTokenError
    return content[:12].hex(), content[12:]


def _hash(secret: bytes) -> str:
    return hashlib.sha256(secret).hexdigest()


def _derive(secret: bytes, nonce: str) -> bytes:
    return hmac.digest(secret, bytes.fromhex(nonce), "sha256")


def _successor(secret: bytes, session: Session) -> bytes:
    assert session.nonce is not None  # noqa: S101 - every session that was rotated has one
    return _derive(secret, session.nonce)
