"""Rewards: coins for something done in the app, within each source's rules."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from coin_service.errors import AmountTooLargeError, EarnLimitReachedError, UnknownSourceError
from coin_service.ledger import Ledger, Request
from coin_service.models import Draft, Earned, Entry
from coin_service.settings import EarnRule
from common.clock import utc_now


@dataclass(frozen=True, slots=True)
class Quota:
    """Where the day of one source stands; in coins."""

    limit: int
    remaining: int
    reset_seconds: int
    """Until the next UTC midnight."""

    @property
    def headers(self) -> dict[str, str]:
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_seconds),
        }


@dataclass(frozen=True, slots=True)
class Reward:
    """An entry of ``earn`` and what its source had left after it."""

    entry: Entry
    replayed: bool
    quota: Quota


class EarningService:
    """What was earned today is carried from entry to entry, so the limit is as exact as the balance."""

    def __init__(self, ledger: Ledger, rules: Mapping[str, EarnRule], *, now: Callable[[], datetime] = utc_now) -> None:
        self._ledger = ledger
        self._rules = rules
        self._now = now

    async def earn(self, user_id: str, coins: int, *, source: str, request: Request) -> Reward:
        """Credit a reward.

        Raises:
            UnknownSourceError: No rule for this source.
            AmountTooLargeError: More than one event gives.
            EarnLimitReachedError: Too soon, or the day's limit would be passed; nothing was credited.
            IdempotencyKeyReusedError: The key belongs to another request.
        """
        rule = self._rules.get(source)
        if rule is None:
            raise UnknownSourceError
        if coins > rule.max_amount:
            raise AmountTooLargeError(f"At most {rule.max_amount} coins can be earned at once.")

        def reward(last: Entry) -> Draft:
            now = self._now()
            before = last.earned.get(source)
            today = before.coins if before is not None and before.day == _day(now) else 0
            quota = Quota(rule.daily_limit, max(0, rule.daily_limit - today), _seconds_to_midnight(now))
            if coins > quota.remaining:
                raise _refusal("daily_limit", source, quota, wait_seconds=quota.reset_seconds)
            ready_at = before.last_at + timedelta(seconds=rule.cooldown_seconds) if before is not None else now
            if ready_at > now:
                raise _refusal("cooldown", source, quota, wait_seconds=(ready_at - now).total_seconds())
            return Draft(
                kind="credit",
                type="earn",
                key=request.key,
                amount=coins,
                source=source,
                fingerprint=request.fingerprint,
                remaining_today=quota.remaining - coins,
                earned={source: Earned(day=_day(now), coins=today + coins, last_at=now)},
            )

        async def find_done() -> Entry | None:
            return request.check(await self._ledger.store.find_by_key(request.key))

        moved = await self._ledger.move(user_id, reward, find_done)
        remaining = moved.entry.remaining_today or 0
        return Reward(
            moved.entry, moved.replayed, Quota(rule.daily_limit, remaining, _seconds_to_midnight(self._now()))
        )


def _refusal(limit: str, source: str, quota: Quota, *, wait_seconds: float) -> EarnLimitReachedError:
    details = {"source": source, "limit": limit, "remainingToday": quota.remaining}
    return EarnLimitReachedError(retry_after_seconds=wait_seconds, details=details, headers=quota.headers)


def _day(moment: datetime) -> str:
    return moment.astimezone(UTC).date().isoformat()


def _seconds_to_midnight(now: datetime) -> int:
    tomorrow = datetime.combine(now.astimezone(UTC).date() + timedelta(days=1), time(), UTC)
    return max(1, int((tomorrow - now).total_seconds()))
