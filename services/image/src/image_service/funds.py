"""Paying for a generation: set aside before drawing, then taken for what was delivered, or given back."""

import asyncio
from contextlib import suppress

from common.clients.auth import AccountNotFoundError
from common.clients.coin import CoinClient, HoldNotFoundError, HoldResolvedError, InsufficientCoinsError
from common.errors import InvalidTokenError, ServiceError, UpstreamTimeoutError
from common.logging import get_logger
from image_service.covers import Covers
from image_service.errors import GenerationFailedError
from image_service.models import Cover, Generation

logger = get_logger(__name__)

HOLD_TIMEOUT_SECONDS = 10.0
WALLET_TIMEOUT_SECONDS = 2.0


class ChargeRefusedError(Exception):
    """The coin service says for certain that these coins cannot be taken; somebody must look into it."""


class Funds:
    """Cover by subscription where there is one, else coins; every call may be repeated."""

    def __init__(self, coins: CoinClient, covers: Covers) -> None:
        self._coins = coins
        self._covers = covers

    async def reserve(self, generation: Generation, *, is_repeat: bool = False) -> Cover:
        """Set the whole price aside.

        Args:
            generation: An accepted order.
            is_repeat: It may have been tried before, by whomever: what that set aside another way is given back, so
                that a price is never set aside twice.

        Raises:
            InsufficientCoinsError: Details: ``required``, ``balance`` and ``affordable``, the settings that would do.
            InvalidTokenError: The account is gone.
            GenerationFailedError: Another process has given the coins back already, since this one seemed dead.
        """
        if await self._covers.take(generation, is_repeat=is_repeat):
            if is_repeat:
                await self._void(generation)
            return "subscription"
        try:
            async with asyncio.timeout(HOLD_TIMEOUT_SECONDS):
                await self._coins.hold(generation.user_id, generation.price_coins, key=generation.coin_key)
        except TimeoutError as error:
            raise UpstreamTimeoutError from error
        except AccountNotFoundError as error:
            raise InvalidTokenError from error
        except HoldResolvedError as error:
            raise GenerationFailedError from error
        except InsufficientCoinsError as error:
            raise InsufficientCoinsError(details=_with_affordable(error, generation)) from error
        return "coins"

    async def capture(self, generation: Generation) -> int | None:
        """Take what the stored pictures cost and release the rest; returns the coins left, if that can be told.

        Raises:
            ChargeRefusedError: The coins were given back already, or never set aside.
            ServiceError: It could not be done now, or somebody else did meanwhile; repeat it.
        """
        if generation.cover == "subscription":
            await self._covers.settle(generation, delivered=len(generation.pictures))
            return await self._remaining(generation.user_id)
        try:
            wallet = await self._coins.capture(
                generation.user_id, generation.due_coins, key=generation.coin_key, reference=generation.id
            )
        except (HoldResolvedError, HoldNotFoundError) as error:
            logger.critical("coins of a drawn generation cannot be taken", key=generation.coin_key, code=error.code)
            # The ledger has the last word: should an operator have captured them at this moment, this is refused.
            await self._void(generation)
            raise ChargeRefusedError from error
        return wallet.balance

    async def release(self, generation: Generation) -> None:
        """Give everything back; also what was asked for but perhaps never arrived, should it still.

        Raises:
            ServiceError: It could not be done now; repeat it.
        """
        if generation.cover != "coins":
            await self._covers.settle(generation, delivered=0)
        if generation.cover != "subscription":
            try:
                await self._void(generation)
            except HoldResolvedError:
                logger.critical("coins of a failed generation were taken", key=generation.coin_key)

    async def _void(self, generation: Generation) -> None:
        with suppress(AccountNotFoundError):  # no account, no wallet, no coins set aside
            await self._coins.void(generation.user_id, key=generation.coin_key)

    async def _remaining(self, user_id: str) -> int | None:
        try:
            async with asyncio.timeout(WALLET_TIMEOUT_SECONDS):
                return (await self._coins.wallet(user_id)).balance
        except (ServiceError, TimeoutError):
            return None  # what the subscription covers does not wait for the coin service


def _with_affordable(error: InsufficientCoinsError, generation: Generation) -> dict[str, object]:
    details = error.details if isinstance(error.details, dict) else {}
    balance = details.get("balance")
    samples = balance // generation.coins_per_image if isinstance(balance, int) and balance > 0 else 0
    return {
        "required": details.get("required", generation.price_coins),
        "balance": balance,
        "affordable": {"samples": samples} if samples else None,
    }
