"""What operators give and take: an entry like any other, with a reason for the user and an actor for the books."""

import hashlib
import json

from coin_service.ledger import Ledger, Moved
from coin_service.models import Draft, Entry
from common.clients.coin import InsufficientCoinsError
from common.errors import IdempotencyKeyReusedError


class AdjustmentService:
    """The one way to mend a wallet: a further entry, never a change of one."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def adjust(
        self, user_id: str, coins: int, *, reason: str, actor: str, key: str, into_debt: bool = False
    ) -> Moved:
        """Grant coins, or take them where ``coins`` is negative; under one key once.

        Args:
            user_id: Whose wallet; one that was never touched is opened.
            coins: What the balance gains.
            reason: Shown to the user.
            actor: Kept, not shown.
            key: Names this adjustment; the same again is the same entry.
            into_debt: Take from the coins to come what the balance does not have.

        Raises:
            AccountNotFoundError: Nobody has this id.
            InsufficientCoinsError: More is to be taken than there is, and not ``into_debt``.
            IdempotencyKeyReusedError: The key belongs to another adjustment.
        """
        name = f"{user_id}:adjust:{key}"
        content = json.dumps([coins, reason, actor, into_debt])
        fingerprint = hashlib.sha256(content.encode()).hexdigest()

        def draft(last: Entry) -> Draft:
            taken = min(-coins, last.balance)
            if coins < 0 and taken < -coins and not into_debt:
                raise InsufficientCoinsError(details={"required": -coins, "balance": last.balance})
            nothing_taken = coins < 0 and not taken
            return Draft(
                kind="credit" if coins > 0 else "debit",
                type="grant" if coins > 0 else None if nothing_taken else "clawback",
                key=name,
                amount=coins if coins > 0 else taken,
                debt_change=0 if coins > 0 else -coins - taken,
                reason=reason,
                actor=actor,
                fingerprint=fingerprint,
            )

        async def find_done() -> Entry | None:
            entry = await self._ledger.store.find_by_key(name)
            if entry is not None and entry.fingerprint != fingerprint:
                raise IdempotencyKeyReusedError
            return entry

        return await self._ledger.move(user_id, draft, find_done)
