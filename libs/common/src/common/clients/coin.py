"""The coin service as others see it."""

from http import HTTPStatus
from typing import Annotated

from pydantic import StringConstraints

from common.clients.auth import AccountNotFoundError
from common.errors import ConflictError, NotFoundError, ServiceError
from common.http import ServiceClient, path_segment
from common.schemas import Coins, ObjectIdStr, ReadModel, RequestModel, Text

HOLD_SCOPE = "coin:hold"
CAPTURE_SCOPE = "coin:capture"
VOID_SCOPE = "coin:void"
REFUND_SCOPE = "coin:refund"
READ_SCOPE = "coin:read"


class InsufficientCoinsError(ServiceError):
    """The wallet cannot pay; nothing moved. Details: ``required`` and ``balance`` in coins."""

    code = "insufficient_coins"
    status = HTTPStatus.PAYMENT_REQUIRED
    message = "You do not have enough coins."


class HoldResolvedError(ConflictError):
    """The hold was already ended the other way: captured instead of void, or void instead of captured."""

    code = "hold_resolved"
    message = "These coins were already settled."


class HoldNotFoundError(NotFoundError):
    """No hold has this key."""

    code = "hold_not_found"
    message = "These coins were never set aside."


class HoldNotCapturedError(ConflictError):
    """The hold is still open: void it, or capture less."""

    code = "hold_not_captured"
    message = "These coins were not taken yet."


class RefundTooLargeError(ConflictError):
    """More than is left of what was taken; nothing moved. Details: ``captured`` and ``refunded`` in coins."""

    code = "refund_too_large"
    message = "This is more than was paid."


HoldKey = Annotated[Text, StringConstraints(min_length=1, max_length=300)]
Reference = Annotated[Text, StringConstraints(max_length=200)]


class HoldRequest(RequestModel):
    """Set coins aside under a key; the same key again is the same hold."""

    user_id: ObjectIdStr
    coins: Coins
    key: HoldKey


class CaptureRequest(RequestModel):
    """Take ``coins`` of a hold (at most all of it); the rest is available again."""

    user_id: ObjectIdStr
    key: HoldKey
    coins: Coins
    reference: Reference | None = None
    """What the user sees was paid for, such as a generation's id."""


class VoidRequest(RequestModel):
    """Give a hold back whole; the void of an unknown hold refuses it should it arrive late."""

    user_id: ObjectIdStr
    key: HoldKey


class RefundRequest(RequestModel):
    """Give ``coins`` of a captured hold back; all refunds of it together are at most what was captured."""

    user_id: ObjectIdStr
    coins: Coins
    hold_key: HoldKey
    key: HoldKey
    """Of this refund; the same key again is the same refund."""


class Wallet(ReadModel):
    """What a user has: ``balance`` can be spent now, ``held`` is set aside; both in coins."""

    balance: int
    held: int


class CoinClient(ServiceClient):
    """Every call may be repeated: reads, and writes under a key."""

    service = "coin"
    raises = (
        InsufficientCoinsError,
        HoldResolvedError,
        HoldNotFoundError,
        HoldNotCapturedError,
        RefundTooLargeError,
        AccountNotFoundError,
    )

    async def wallet(self, user_id: str) -> Wallet:
        answer = await self._call("GET", f"/internal/wallets/{path_segment(user_id)}", scope=READ_SCOPE)
        return self._parse(Wallet, answer)

    async def hold(self, user_id: str, coins: int, *, key: str) -> Wallet:
        """Set ``coins`` aside.

        Raises:
            AccountNotFoundError: Nobody has this id, and nobody had when the wallet would have been opened.
            InsufficientCoinsError: Nothing was set aside.
            HoldResolvedError: This hold was ended already.
        """
        body = HoldRequest(user_id=user_id, coins=coins, key=key)
        return self._parse(Wallet, await self._call("POST", "/internal/holds", scope=HOLD_SCOPE, body=body))

    async def capture(self, user_id: str, coins: int, *, key: str, reference: str | None = None) -> Wallet:
        """Take ``coins`` of a hold and release the rest of it.

        Raises:
            HoldResolvedError: It was given back already.
            HoldNotFoundError: There is no such hold.
        """
        body = CaptureRequest(user_id=user_id, key=key, coins=coins, reference=reference)
        return self._parse(Wallet, await self._call("POST", "/internal/captures", scope=CAPTURE_SCOPE, body=body))

    async def void(self, user_id: str, *, key: str) -> Wallet:
        """Give a hold back whole.

        Raises:
            AccountNotFoundError: As for the hold: nothing was ever set aside.
            HoldResolvedError: It was captured already.
        """
        body = VoidRequest(user_id=user_id, key=key)
        return self._parse(Wallet, await self._call("POST", "/internal/voids", scope=VOID_SCOPE, body=body))

    async def refund(self, user_id: str, coins: int, *, hold_key: str, key: str) -> Wallet:
        """Give ``coins`` back that were captured of the hold ``hold_key``, once under ``key``.

        Raises:
            HoldNotFoundError: There is no such hold.
            HoldNotCapturedError: It is still open.
            HoldResolvedError: It was given back whole; nothing was ever taken.
            RefundTooLargeError: More than is left of what was captured.
        """
        body = RefundRequest(user_id=user_id, coins=coins, hold_key=hold_key, key=key)
        return self._parse(Wallet, await self._call("POST", "/internal/refunds", scope=REFUND_SCOPE, body=body))
