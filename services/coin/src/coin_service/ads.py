"""Ads that one side has told of and the other not yet: each is settled by one word of the other side.

App and ad network share no name for an ad: the app never learns the network's transaction id. So they are counted, not
matched: a callback settles the oldest open claim of the app, and a claim of the app the oldest open callback. Whatever
the order, as many ads are credited as the more talkative side told of. The list lies in the wallet's own entry, so two
who settle the same ad at once cannot both succeed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from coin_service.models import Earned, OpenAd, ToldBy

AD_SOURCE = "ad_watch"

OPEN_SECONDS = 3600.0
"""An ad is waited for so long; a callback that is older when it comes is refused. AdMob repeats one for seconds."""

MAX_OPEN_ADS = 32
"""Every entry of the wallet carries them; the oldest are given up."""


@dataclass(frozen=True, slots=True)
class OpenAds:
    """Oldest first."""

    listed: tuple[OpenAd, ...]

    @classmethod
    def of(cls, earned: Earned | None, now: datetime) -> Self:
        """Return those that are still waited for."""
        known: Sequence[OpenAd] = earned.open_ads if earned is not None else ()
        return cls(tuple(ad for ad in known if ad.at > now - timedelta(seconds=OPEN_SECONDS)))

    def first(self, told_by: ToldBy) -> OpenAd | None:
        """Return the oldest that ``told_by`` told of."""
        return next((ad for ad in self.listed if ad.told_by == told_by), None)

    def adding(self, told_by: ToldBy, key: str, now: datetime) -> "OpenAds":
        """Return them with one more, credited by the entry of this key."""
        return OpenAds((*self.listed, OpenAd(told_by=told_by, key=key, at=now))[-MAX_OPEN_ADS:])

    def without(self, settled: OpenAd) -> "OpenAds":
        return OpenAds(tuple(ad for ad in self.listed if ad is not settled))
