"""How much a source still gives a wallet today."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from coin_service.ads import AD_SOURCE, OpenAds
from coin_service.errors import EarnLimitReachedError
from coin_service.models import Draft, Earned, Entry, OpenAd
from coin_service.settings import EarnRule


@dataclass(frozen=True, slots=True)
class Quota:
    """Where the day of one source stands; in coins."""

    limit: int
    remaining: int
    reset_seconds: int
    """Until the next UTC midnight."""

    @classmethod
    def of(cls, rule: EarnRule, remaining: int, now: datetime) -> "Quota":
        """Tell what is left of a rule's day."""
        tomorrow = datetime.combine(now.astimezone(UTC).date() + timedelta(days=1), time(), UTC)
        return cls(rule.daily_limit, remaining, max(1, int((tomorrow - now).total_seconds())))

    @property
    def headers(self) -> dict[str, str]:
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_seconds),
        }


@dataclass(frozen=True, slots=True)
class SourceStanding:
    """What one source gave a wallet so far."""

    today: int
    ready_at: datetime
    """When its pause is over."""
    quota: Quota
    earned: Earned | None
    open_ads: OpenAds
    day: str
    """Never earlier than that of the entry before: clocks differ, and a day that came again would start at 0."""

    @classmethod
    def of(
        cls, last: Entry, source: str, rule: EarnRule, now: datetime, told_at: datetime | None = None
    ) -> "SourceStanding":
        earned = last.earned.get(source)
        day = max(earned.day, _day(now)) if earned is not None else _day(now)
        today = earned.coins if earned is not None and earned.day == day else 0
        ready_at = earned.last_at + timedelta(seconds=rule.cooldown_seconds) if earned is not None else now
        quota = Quota.of(rule, max(0, rule.daily_limit - today), now)
        return cls(today, ready_at, quota, earned, OpenAds.of(earned, told_at or now), day)

    def credit(self, draft: Draft, source: str, ads: OpenAds, now: datetime) -> Draft:
        """Complete the draft of a reward.

        Raises:
            EarnLimitReachedError: The day's limit would be passed.
        """
        remaining = self.quota.remaining - draft.amount
        if remaining < 0:
            raise self.refusal("daily_limit", source, wait_seconds=self.quota.reset_seconds)
        earned = Earned(day=self.day, coins=self.today + draft.amount, last_at=now, open_ads=ads.listed)
        return draft.model_copy(update={"source": source, "remaining_today": remaining, "earned": {source: earned}})

    def refusal(self, limit: str, source: str, *, wait_seconds: float) -> EarnLimitReachedError:
        """Tell the app which limit it met, and how long to wait."""
        details = {"source": source, "limit": limit, "remainingToday": self.quota.remaining}
        return EarnLimitReachedError(retry_after_seconds=wait_seconds, details=details, headers=self.quota.headers)

    def settle(self, ad: OpenAd, key: str, *, fingerprint: str | None = None) -> Draft:
        """Remember that this ad has been credited already, on the other side's word."""
        ads = self.open_ads.without(ad).listed
        earned = {AD_SOURCE: self.earned.model_copy(update={"open_ads": ads})} if self.earned is not None else {}
        return Draft(
            kind="note",
            key=key,
            amount=0,
            source=AD_SOURCE,
            reference=ad.key,
            fingerprint=fingerprint,
            remaining_today=self.quota.remaining,
            earned=earned,
        )


def _day(moment: datetime) -> str:
    return moment.astimezone(UTC).date().isoformat()
