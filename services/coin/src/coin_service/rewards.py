"""Ads whose network tells us of them: verified, kept, credited once."""

import asyncio
from collections.abc import Collection
from datetime import timedelta

from prometheus_client import Counter

from coin_service.ads import OPEN_SECONDS
from coin_service.earning import EarningService
from coin_service.errors import EarnLimitReachedError, UnknownSourceError
from coin_service.inbox import InboxStore, Message
from coin_service.inbox_worker import InboxWorker
from coin_service.providers.admob import AdKeys, AdReward, verify
from common.clients.auth import AccountNotFoundError
from common.logging import get_logger
from common.mongo import DATABASE_UNAVAILABLE
from common.schemas import is_object_id

logger = get_logger(__name__)

AHEAD_SECONDS = 300.0
"""How far Google's clock may be ahead of ours."""

IN_REQUEST_SECONDS = 4.0
"""After that Google is answered, and the inbox goes on with it."""

_LATER: tuple[type[Exception], ...] = (TimeoutError, *DATABASE_UNAVAILABLE)

REWARDS = Counter("coin_ad_rewards_total", "Callbacks of the ad network by what came of them", ["outcome"])


class RewardService:
    """A genuine callback is kept in the inbox first: what happens afterwards cannot lose it."""

    def __init__(
        self,
        keys: AdKeys,
        earning: EarningService,
        inbox: InboxStore,
        *,
        ad_units: Collection[str] = (),
    ) -> None:
        self._keys = keys
        self._earning = earning
        self._inbox = inbox
        self._ad_units = frozenset(unit.rpartition("/")[2] for unit in ad_units)

    async def receive(self, query: bytes, worker: InboxWorker) -> bool:
        """Take a callback in; ``False`` if it was taken in before.

        What the rules refuse is taken in too, as Google would only repeat it.

        Raises:
            InvalidSignatureError: It is not Google's.
            AdVerificationUnavailableError: Google's keys cannot be had.
        """
        reward = await verify(query, self._keys)
        if reward.transaction_id is None:
            self._log("no_transaction_id", reward, None)
            return True
        content = reward.model_dump(mode="json")
        message = await self._inbox.add_claimed("admob", reward.transaction_id, "reward", content)
        if message is None:
            return False
        try:
            async with asyncio.timeout(IN_REQUEST_SECONDS):
                await worker.work(message)
        except _LATER as error:
            logger.warning("ad reward postponed", error=type(error).__name__)
        return True

    async def settle(self, message: Message) -> None:
        """Credit what a callback tells of, or note why not; may be repeated."""
        reward = AdReward.model_validate(message.content)
        outcome = self._refusal(reward, message)
        if outcome is None and reward.user_id is not None and reward.transaction_id is not None:
            outcome = await self._credit(reward.user_id.lower(), reward.amount, reward.transaction_id, message)
        self._log(outcome or "incomplete", reward, message)
        await self._inbox.set_outcome(message, outcome or "incomplete")

    async def _credit(self, user_id: str, coins: int, transaction_id: str, message: Message) -> str:
        try:
            credited = await self._earning.confirm_ad(
                user_id, coins, transaction_id=transaction_id, told_at=message.received_at
            )
        except AccountNotFoundError:
            return "unknown_user"
        except UnknownSourceError:
            return "no_rule"
        except EarnLimitReachedError:
            return "daily_limit"
        return "credited" if credited.made is credited.entry else "credited_before"

    def _refusal(self, reward: AdReward, message: Message) -> str | None:
        if self._ad_units and reward.ad_unit not in self._ad_units:
            return "foreign_ad_unit"
        if reward.user_id is None:
            return "no_user"
        if not is_object_id(reward.user_id):
            return "unknown_user"
        if reward.amount < 1:
            return "no_amount"
        if reward.rewarded_at is None:
            return "no_time"
        age = message.received_at - reward.rewarded_at
        if not timedelta(seconds=-AHEAD_SECONDS) <= age <= timedelta(seconds=OPEN_SECONDS):
            return "stale"
        return None

    def _log(self, outcome: str, reward: AdReward, message: Message | None) -> None:
        REWARDS.labels(outcome).inc()
        log = logger.info if outcome.startswith("credited") else logger.warning
        log(
            "ad reward",
            outcome=outcome,
            message_id=message.id if message is not None else None,
            ad_unit=reward.ad_unit,
            coins=reward.amount,
        )
