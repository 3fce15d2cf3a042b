"""How an entry gets into a wallet's chain, once, whatever else happens at the same time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from weakref import WeakValueDictionary

from coin_service.attempts import MAX_PAUSE_SECONDS, Attempt
from coin_service.models import Draft, Entry
from coin_service.store import LedgerStore
from common.clients.auth import AuthClient
from common.errors import (
    IdempotencyKeyReusedError,
    ServiceError,
    ServiceUnavailableError,
    UpstreamError,
    UpstreamTimeoutError,
)
from common.logging import get_logger
from common.mongo import DATABASE_UNAVAILABLE, new_id

logger = get_logger(__name__)

MOVE_SECONDS = 8.0
"""How long one operation may fight for its place; less than the gateway's 10 s."""

ACCOUNT_SECONDS = 5.0
"""How long auth may take, retries included, to say whether there is such an account."""

OPENING_TRIES = 8

Rule = Callable[[Entry], Draft]
"""Given the wallet's last entry, what to add; raises a ``ServiceError`` to refuse."""

FindDone = Callable[[], Awaitable[Entry | None]]
"""The entry that this operation already made, if any; raises where another operation took its place."""


class StaleReadError(Exception):
    """Two reads do not belong together because an entry came between them; the operation is tried again."""


@dataclass(frozen=True, slots=True)
class Request:
    """By what a repeat of a request is recognised."""

    key: str
    """Of the entry."""
    fingerprint: str | None
    """``None`` for a request without an idempotency key: each is a new one."""

    @classmethod
    def of(cls, user_id: str, key: str | None, fingerprint: str) -> "Request":
        """Scope a client's key to its user; another user's same key is another key."""
        if key is None:
            return cls(f"{user_id}:entry:{new_id()}", None)
        return cls(f"{user_id}:request:{key}", fingerprint)

    def check(self, entry: Entry | None) -> Entry | None:
        """Return ``entry`` if it is this request's.

        Raises:
            IdempotencyKeyReusedError: Another request was made under the key.
        """
        if entry is not None and entry.fingerprint != self.fingerprint:
            raise IdempotencyKeyReusedError
        return entry


@dataclass(frozen=True, slots=True)
class Moved:
    """The entry of an operation."""

    entry: Entry
    replayed: bool
    """It was there before."""


class Ledger:
    """Wallets that open themselves at the first touch, and one way to change them."""

    def __init__(
        self, store: LedgerStore, accounts: AuthClient, *, signup_bonus_coins: int, move_seconds: float = MOVE_SECONDS
    ) -> None:
        self.store = store
        self._accounts = accounts
        self._signup_bonus_coins = signup_bonus_coins
        self._move_seconds = move_seconds
        # In turn, writers of one wallet do not collide; across processes the unique indexes decide.
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def last(self, user_id: str) -> Entry:
        """Return the wallet's last entry; an unknown wallet is opened, with the sign-up bonus as its first entry.

        Where it owes coins and has some, they are taken first, whoever left that undone.

        Raises:
            AccountNotFoundError: Nobody has this id.
            ServiceUnavailableError: Whether somebody has it cannot be known now.
        """
        for _ in range(OPENING_TRIES):
            last = await self.store.find_last(user_id) or await self._open(user_id)
            if last is not None and last.pays_debt:
                last = await self._pay_debt(last)
            if last is not None:
                return last
            # Another process is just opening or changing it: refused by an entry that the majority does not have yet.
            await asyncio.sleep(MAX_PAUSE_SECONDS)
        raise ServiceUnavailableError

    async def move(self, user_id: str, rule: Rule, find_done: FindDone, *, look_first: bool = False) -> Moved:
        """Append what ``rule`` says, exactly once.

        The entry is computed from the last one and inserted as its successor; if another was faster, all is read and
        decided again. After a lost answer the same entry is looked for or inserted again: its key makes that safe.

        Args:
            user_id: Whose wallet.
            rule: Computes the entry, or refuses.
            find_done: Asked when something stands in the way, and before anything is refused.
            look_first: Ask ``find_done`` before the first try too.

        Raises:
            ServiceError: What ``rule`` or ``find_done`` refuses with; nothing moved.
            ServiceUnavailableError: No place was found in time; nothing moved.
            UpstreamTimeoutError: The database did not say whether the entry is in.
        """
        turn = self._turns.setdefault(user_id, asyncio.Lock())
        attempt = Attempt(entry_id=new_id(), look=look_first)
        try:
            async with asyncio.timeout(self._move_seconds), turn:
                while True:
                    moved = await self._try(user_id, rule, find_done, attempt)
                    if moved is not None:
                        await self._touch(moved)
                        return moved
                    await attempt.pause(user_id)
        except TimeoutError as error:
            logger.error("no place found in the ledger", user_id=user_id, tries=attempt.tries, unsure=attempt.unsure)
            raise (UpstreamTimeoutError if attempt.unsure else ServiceUnavailableError) from error

    async def _try(self, user_id: str, rule: Rule, find_done: FindDone, attempt: Attempt) -> Moved | None:
        """Return ``None`` if it must be tried again."""
        try:
            if attempt.look and (done := await find_done()):
                return Moved(done, replayed=done.id != attempt.entry_id)
            last = await self.last(user_id)
            try:
                entry = Entry.following(last, rule(last), entry_id=attempt.entry_id, user_id=user_id)
            except ServiceError:
                # What was read may already hold this operation's own effect.
                if done := await find_done():
                    return Moved(done, replayed=done.id != attempt.entry_id)
                raise
            attempt.look = True
            attempt.unsure = True
            if await self.store.append(entry):
                return Moved(entry, replayed=False)
            attempt.unsure = attempt.lost_answer
        except StaleReadError:
            attempt.look = True
        except DATABASE_UNAVAILABLE as error:
            attempt.lost_answer = attempt.unsure
            attempt.look = True
            logger.warning("database failed during a move", user_id=user_id, error=type(error).__name__)
        return None

    async def _touch(self, moved: Moved) -> None:
        """Pay the debt from what just came in; if that fails, the wallet's next touch does it."""
        if moved.entry.pays_debt and not moved.replayed:
            try:
                await self._pay_debt(moved.entry)
            except DATABASE_UNAVAILABLE as error:
                logger.warning("debt is paid later", user_id=moved.entry.user_id, error=type(error).__name__)

    async def _pay_debt(self, last: Entry) -> Entry | None:
        """Take what is owed; ``None`` if another entry came first."""
        coins = min(last.balance, last.debt)
        key = f"{last.user_id}:debt:{last.seq}"
        draft = Draft(
            kind="debit",
            type="clawback",
            key=key,
            amount=coins,
            debt_change=-coins,
            reason="Debt of a payment returned",
        )
        paid = Entry.following(last, draft, entry_id=new_id(), user_id=last.user_id)
        return paid if await self.store.append(paid) else None

    async def _open(self, user_id: str) -> Entry | None:
        try:
            async with asyncio.timeout(ACCOUNT_SECONDS):
                await self._accounts.account(user_id)
        except (TimeoutError, UpstreamError, UpstreamTimeoutError) as error:
            raise ServiceUnavailableError from error
        bonus = self._signup_bonus_coins
        draft = Draft(
            kind="credit", type="bonus" if bonus else None, key=f"{user_id}:signup", amount=bonus, source="signup"
        )
        opening = Entry.following(None, draft, entry_id=new_id(), user_id=user_id)
        if await self.store.append(opening):
            logger.info("wallet opened", user_id=user_id, coins=bonus)
            return opening
        return await self.store.find_last(user_id)
