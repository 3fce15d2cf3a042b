"""Coins set aside by another service, then taken or given back."""

from coin_service.ledger import Ledger, StaleReadError
from coin_service.models import Draft, Entry
from coin_service.service import require_balance
from common.clients.coin import HoldNotFoundError, HoldResolvedError
from common.errors import IdempotencyKeyReusedError, ValidationFailedError


def hold_key(user_id: str, key: str) -> str:
    """Name a hold in the ledger; also the key of the void that came before it."""
    return f"{user_id}:hold:{key}"


class HoldService:
    """Every call may be repeated, in any order: each hold ends once, captured or void.

    Whether it has ended is not asked before it is tried: that place in the ledger can be taken once, and only where it
    is taken, or something else does not fit, is it looked for.

    All answer with the wallet: as it is after their own entry, or, if that was there before, as it is now.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def hold(self, user_id: str, coins: int, *, key: str) -> Entry:
        """Set coins aside.

        Raises:
            InsufficientCoinsError: Nothing was set aside.
            HoldResolvedError: It was ended already, perhaps before it came.
            IdempotencyKeyReusedError: The key holds another number of coins.
        """
        name = hold_key(user_id, key)

        def set_aside(last: Entry) -> Draft:
            require_balance(last, coins)
            return Draft(kind="hold", key=name, amount=coins)

        async def find_done() -> Entry | None:
            hold, end = await self._ledger.store.find_hold(name)
            if end is not None:
                raise HoldResolvedError
            if hold is not None and hold.amount != coins:
                raise IdempotencyKeyReusedError
            return hold

        moved = await self._ledger.move(user_id, set_aside, find_done)
        return await self._ledger.last(user_id) if moved.replayed else moved.entry

    async def capture(self, user_id: str, coins: int, *, key: str, reference: str | None) -> Entry:
        """Take coins of a hold and release the rest.

        Raises:
            HoldNotFoundError: There is no such hold.
            HoldResolvedError: It was given back.
            ValidationFailedError: More than was set aside.
            IdempotencyKeyReusedError: Another number of coins was captured.
        """
        name = hold_key(user_id, key)
        hold: Entry | None = None

        async def find_done() -> Entry | None:
            nonlocal hold
            hold, end = await self._find(name, known=hold)
            if hold is None:
                raise HoldNotFoundError
            if end is None:
                return None
            if end.kind == "void":
                raise HoldResolvedError
            if end.amount != coins:
                raise IdempotencyKeyReusedError
            return end

        def take(last: Entry) -> Draft:
            if hold is not None and coins > hold.amount:
                raise ValidationFailedError.of("coins", "is more than was set aside")
            if hold is None or last.held < hold.amount:
                raise StaleReadError
            return Draft(
                kind="capture",
                type="generate",
                key=f"{user_id}:capture:{key}",
                amount=coins,
                released=hold.amount - coins,
                resolves=name,
                reference=reference,
            )

        moved = await self._ledger.move(user_id, take, find_done, look_first=True)
        return await self._ledger.last(user_id) if moved.replayed else moved.entry

    async def void(self, user_id: str, *, key: str) -> Entry:
        """Give a hold back whole; of one that has not come, remember that it must not.

        Raises:
            HoldResolvedError: It was captured.
        """
        name = hold_key(user_id, key)
        hold: Entry | None = None

        async def find_done() -> Entry | None:
            nonlocal hold
            hold, end = await self._find(name, known=hold)
            if end is not None and end.kind == "capture":
                raise HoldResolvedError
            return end

        def give_back(last: Entry) -> Draft:
            if hold is None:
                # Under the hold's own key: should it arrive late, it collides with this.
                return Draft(kind="void", key=name, amount=0, resolves=name)
            if last.held < hold.amount:
                raise StaleReadError
            return Draft(kind="void", key=f"{user_id}:void:{key}", amount=hold.amount, resolves=name)

        moved = await self._ledger.move(user_id, give_back, find_done, look_first=True)
        return await self._ledger.last(user_id) if moved.replayed else moved.entry

    async def _find(self, name: str, *, known: Entry | None) -> tuple[Entry | None, Entry | None]:
        """Return a hold and what ended it; the first time, with none ``known``, the end of a hold is not looked for."""
        if known is None:
            hold = await self._ledger.store.find_by_key(name)
            if hold is not None and hold.kind == "hold":
                return hold, None
        return await self._ledger.store.find_hold(name)
