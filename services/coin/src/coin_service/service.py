"""What a user has, had, and spends."""

from dataclasses import dataclass

from coin_service.ledger import Ledger, Moved, Request
from coin_service.models import Draft, Entry, EntryType
from common.clients.coin import InsufficientCoinsError
from common.errors import ValidationFailedError
from common.pagination import PageQuery, Pagination, decode_cursor, encode_cursor

ALL_TYPES = "all"


@dataclass(frozen=True, slots=True)
class Statement:
    """One page of a wallet's listed entries."""

    entries: list[Entry]
    pagination: Pagination


def require_balance(last: Entry, coins: int) -> None:
    """Refuse what the wallet cannot pay.

    Raises:
        InsufficientCoinsError: With what is required and what there is.
    """
    if last.balance < coins:
        raise InsufficientCoinsError(details={"required": coins, "balance": last.balance})


class CoinService:
    """A user's own view of the wallet."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def last(self, user_id: str) -> Entry:
        """Return the wallet as it is."""
        return await self._ledger.last(user_id)

    async def statement(self, user_id: str, type_: EntryType | None, query: PageQuery) -> Statement:
        """List a wallet's entries, newest first.

        Raises:
            ValidationFailedError: The cursor is of another list.
        """
        last = await self._ledger.last(user_id)
        total = last.listed if type_ is None else last.counts.get(type_, 0)
        below = total + 1 - query.skip
        if query.cursor is not None:
            listed, position = decode_cursor(query.cursor, str, int)
            if listed != (type_ or ALL_TYPES) or not isinstance(position, int):
                raise ValidationFailedError.of("cursor", "is not a cursor of this list")
            below = min(position, total + 1)
        entries = await self._ledger.store.list_entries(user_id, type_, below=below, limit=query.limit)
        lowest = max(1, below - query.limit)
        return Statement(
            entries,
            Pagination.of(
                query, total=total, has_next=lowest > 1, next_cursor=encode_cursor(type_ or ALL_TYPES, lowest)
            ),
        )

    async def deduct(self, user_id: str, coins: int, *, reason: str | None, request: Request) -> Moved:
        """Spend coins.

        Raises:
            InsufficientCoinsError: Nothing moved.
            IdempotencyKeyReusedError: The key belongs to another request.
        """

        def debit(last: Entry) -> Draft:
            require_balance(last, coins)
            return Draft(
                kind="debit",
                type="deduct",
                key=request.key,
                amount=coins,
                reason=reason,
                fingerprint=request.fingerprint,
            )

        async def find_done() -> Entry | None:
            return request.check(await self._ledger.store.find_by_key(request.key))

        return await self._ledger.move(user_id, debit, find_done)
