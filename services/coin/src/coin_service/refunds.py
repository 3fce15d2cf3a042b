"""Coins of a captured hold, given back: what they paid for was lost."""

from coin_service.holds import hold_key as name_of_hold
from coin_service.ledger import Ledger
from coin_service.models import Draft, Entry
from common.clients.coin import HoldNotCapturedError, HoldNotFoundError, HoldResolvedError, RefundTooLargeError
from common.errors import IdempotencyKeyReusedError


class RefundService:
    """Never more of a capture than it took, however many refunds there are of it and at once.

    The refunds of one capture are numbered and carry their sum; of two computed from the same one a unique index lets
    a single one in.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def refund(self, user_id: str, coins: int, *, hold_key: str, key: str) -> Entry:
        """Give coins back; may be repeated. Returns the wallet after it, or, if it was there before, as it is now.

        Raises:
            HoldNotFoundError: There is no such hold of this user.
            HoldNotCapturedError: It is still open: void it, or capture less.
            HoldResolvedError: It was given back whole; nothing was ever taken.
            RefundTooLargeError: More than is left of the capture; nothing was given back.
            IdempotencyKeyReusedError: The key belongs to another refund.
        """
        store, name, own_key = self._ledger.store, name_of_hold(user_id, hold_key), f"{user_id}:refund:{key}"
        capture: Entry | None = None
        before: Entry | None = None

        async def find_done() -> Entry | None:
            nonlocal capture, before
            if done := await store.find_by_key(own_key):
                if (done.refunds, done.amount) != (name, coins):
                    raise IdempotencyKeyReusedError
                return done
            capture = await self._captured(name)
            before = await store.find_last_refund(name)
            return None

        def give_back(_: Entry) -> Draft:
            if capture is None:
                raise HoldNotFoundError
            number, refunded = (before.refund_number or 0, before.refunded or 0) if before else (0, 0)
            if coins > capture.amount - refunded:
                raise RefundTooLargeError(details={"captured": capture.amount, "refunded": refunded})
            return Draft(
                kind="credit",
                type="refund",
                key=own_key,
                amount=coins,
                refunds=name,
                refund_number=number + 1,
                refunded=refunded + coins,
                reference=capture.reference,
                reason="Picture lost",
            )

        moved = await self._ledger.move(user_id, give_back, find_done, look_first=True)
        return await self._ledger.last(user_id) if moved.replayed else moved.entry

    async def _captured(self, name: str) -> Entry:
        hold, end = await self._ledger.store.find_hold(name)
        if hold is None:
            raise HoldNotFoundError
        if end is None:
            raise HoldNotCapturedError
        if end.kind == "void":
            raise HoldResolvedError
        return end
