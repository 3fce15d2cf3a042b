"""Rewards: coins for something done in the app, within each source's rules.

An ad watched may be told twice: by the app, and by the ad network's signed callback. Each settles the other, in either
order, so that one ad pays once; see ``ads.py``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from coin_service.ads import AD_SOURCE
from coin_service.errors import AmountTooLargeError, UnknownSourceError, VerificationRequiredError
from coin_service.ledger import Ledger, Moved, Request
from coin_service.models import Draft, Entry
from coin_service.quotas import Quota, SourceStanding
from coin_service.settings import EarnRule
from common.clock import utc_now


@dataclass(frozen=True, slots=True)
class Reward:
    """An entry of ``earn``, the wallet's entry that this call made, and what its source had left after it."""

    entry: Entry
    made: Entry
    """``entry`` itself, or the note that another call had been credited for the same."""
    replayed: bool
    quota: Quota


class EarningService:
    """What was earned today is carried from entry to entry, so the limit is as exact as the balance."""

    def __init__(
        self,
        ledger: Ledger,
        rules: Mapping[str, EarnRule],
        *,
        ads_need_callback: bool = False,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._ledger = ledger
        self._rules = rules
        self._ads_need_callback = ads_need_callback
        self._now = now

    async def earn(self, user_id: str, coins: int, *, source: str, request: Request) -> Reward:
        """Credit a reward that the app claims; an ad that its network told of before is answered with that entry.

        Raises:
            UnknownSourceError: No rule for this source.
            AmountTooLargeError: More than one event gives.
            VerificationRequiredError: The network's callback alone credits this.
            EarnLimitReachedError: Too soon, or the day's limit would be passed; nothing was credited.
            IdempotencyKeyReusedError: The key belongs to another request.
        """
        rule = self._rule(source)
        if source == AD_SOURCE and self._ads_need_callback:
            raise VerificationRequiredError
        if coins > rule.max_amount:
            raise AmountTooLargeError(f"At most {rule.max_amount} coins can be earned at once.")

        def reward(last: Entry) -> Draft:
            now = self._now()
            standing = SourceStanding.of(last, source, rule, now)
            if source == AD_SOURCE and (told := standing.open_ads.first("callback")):
                return standing.settle(told, request.key, fingerprint=request.fingerprint)
            if standing.ready_at > now and coins <= standing.quota.remaining:
                seconds = (standing.ready_at - now).total_seconds()
                raise standing.refusal("cooldown", source, wait_seconds=seconds)
            ads = standing.open_ads.adding("app", request.key, now) if source == AD_SOURCE else standing.open_ads
            draft = Draft(kind="credit", type="earn", key=request.key, amount=coins, fingerprint=request.fingerprint)
            return standing.credit(draft, source, ads, now)

        async def find_done() -> Entry | None:
            return request.check(await self._ledger.store.find_by_key(request.key))

        return await self._reward(await self._ledger.move(user_id, reward, find_done), rule)

    async def confirm_ad(
        self, user_id: str, coins: int, *, transaction_id: str, told_at: datetime | None = None
    ) -> Reward:
        """Credit an ad that its network told of, unless the app has been credited for it; repeats are harmless.

        The rule's amount and day's limit count; its pause does not, as the network saw each of the ads.

        Args:
            user_id: Who watched it.
            coins: What the network says it gives.
            transaction_id: The network's, of this ad.
            told_at: When the network told of it, however much later that is worked off; now if nothing is said.

        Raises:
            UnknownSourceError: No rule for ads.
            EarnLimitReachedError: The day's limit would be passed; nothing was credited.
            AccountNotFoundError: There is no such user.
        """
        rule = self._rule(AD_SOURCE)
        key = f"admob:{transaction_id}"

        def reward(last: Entry) -> Draft:
            now = self._now()
            standing = SourceStanding.of(last, AD_SOURCE, rule, now, told_at)
            if claimed := standing.open_ads.first("app"):
                return standing.settle(claimed, key)
            ads = standing.open_ads.adding("callback", key, now)
            draft = Draft(
                kind="credit", type="earn", key=key, amount=min(coins, rule.max_amount), transaction_id=transaction_id
            )
            return standing.credit(draft, AD_SOURCE, ads, now)

        async def find_done() -> Entry | None:
            return await self._ledger.store.find_by_key(key)

        return await self._reward(await self._ledger.move(user_id, reward, find_done, look_first=True), rule)

    def _rule(self, source: str) -> EarnRule:
        rule = self._rules.get(source)
        if rule is None:
            raise UnknownSourceError
        return rule

    async def _reward(self, moved: Moved, rule: EarnRule) -> Reward:
        made = moved.entry
        paid = await self._ledger.store.find_by_key(made.reference) if made.kind == "note" and made.reference else None
        quota = Quota.of(rule, made.remaining_today or 0, self._now())
        return Reward(paid or made, made, moved.replayed, quota)
