"""The purchases Google Play knows of, and what time does to them."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sandbox_service.bounded import BoundedDict
from sandbox_service.clock import VendorClock
from sandbox_service.google.tokens import State, TokenStory, read_token

MAX_PURCHASES = 20_000

ACKNOWLEDGE_WITHIN = timedelta(days=3)
ACKNOWLEDGE_TEST_WITHIN = timedelta(minutes=3)
"""Licence testers'; what is not acknowledged by then is refunded and revoked."""
GRACE = timedelta(days=3)
HOLD = timedelta(days=30)
PAUSE = timedelta(days=30)
LONG_AGO = timedelta(days=60)
"""So long after its expiry a subscription can no longer be asked for: 410."""

REMORSE, NOT_ACKNOWLEDGED = 1, 8
"""Google's numbers for why a purchase was voided."""

Kind = Literal["subscription", "product"]


@dataclass
class Purchase:
    """One purchase token; times by the vendors' clock."""

    token: str
    kind: Kind
    product_id: str
    state: State
    started: datetime
    expires: datetime
    auto_renewing: bool = True
    acknowledged: bool = False
    consumed: bool = False
    test: bool = False
    linked_token: str | None = None
    account_id: str | None = None
    package: str | None = None
    """The app that asked first; others get a mismatch."""
    renewals: int = 0
    resumes: datetime | None = None
    replaced: bool = False
    voided: datetime | None = None
    """When the money of a purchase that had been paid went back."""
    voided_reason: int = REMORSE
    story: TokenStory | None = None
    """Troubles that the token's own text asks for; ``None`` once a test has set the purchase up."""

    @property
    def period(self) -> timedelta:
        """Length of a billing period, guessed from the product's name; 30 days if it says nothing."""
        name = self.product_id.lower()
        if any(word in name for word in ("year", "annual")):
            return timedelta(days=365)
        return timedelta(days=7 if "week" in name else 30)

    @property
    def order_id(self) -> str:
        """``GPA.1234-5678-9012-34567``, and ``..0``, ``..1`` for the renewals."""
        digits = str(int(hashlib.sha256(self.token.encode()).hexdigest(), 16))[:17]
        order = f"GPA.{digits[:4]}-{digits[4:8]}-{digits[8:12]}-{digits[12:]}"
        return f"{order}..{self.renewals - 1}" if self.renewals else order

    def enter(self, state: State, now: datetime) -> None:
        """Take on ``state`` with the times that go with it, as if it had just come about."""
        if self.kind == "product" and state == "purchased":
            self.voided = None
        elif (self.state, state) == ("purchased", "canceled") or (state == "revoked" and self.state != "revoked"):
            self.voided, self.voided_reason = now, REMORSE
        self.state = state
        self.auto_renewing = state in {"active", "grace_period", "on_hold", "paused", "pending"}
        self.resumes = now + PAUSE if state == "paused" else None
        begun, ends = {
            "grace_period": (now - self.period, now + GRACE),
            "on_hold": (now - self.period - GRACE, now - timedelta(days=1)),
            "paused": (now - self.period, now - timedelta(days=1)),
            "expired": (now - self.period - timedelta(days=1), now - timedelta(days=1)),
            "revoked": (now - timedelta(days=1), now),
        }.get(state, (now, now + self.period))
        self.started, self.expires = begun, ends
        # Only a first payment waits to be acknowledged; these have renewed before.
        self.acknowledged = state in {"grace_period", "on_hold", "paused", "expired"}

    def settle(self, now: datetime) -> None:
        """Let the time up to ``now`` do its work: renewals, expiry, holds, resumption, automatic refunds."""
        paid = self.state in ({"purchased"} if self.kind == "product" else {"active", "canceled"})
        deadline = self.started + (ACKNOWLEDGE_TEST_WITHIN if self.test else ACKNOWLEDGE_WITHIN)
        if paid and not self.acknowledged and now >= deadline:
            self.state = "revoked" if self.kind == "subscription" else "canceled"
            self.expires, self.auto_renewing = min(self.expires, deadline), False
            self.voided, self.voided_reason = deadline, NOT_ACKNOWLEDGED
        if self.kind == "product":
            return
        if self.state == "paused" and self.resumes is not None and now >= self.resumes:
            self.state, self.expires, self.resumes = "active", self.resumes + self.period, None
        if self.state == "active" and self.auto_renewing and now >= self.expires:
            periods = (now - self.expires) // self.period + 1
            self.expires += periods * self.period
            self.renewals += periods
        if self.state == "grace_period" and now >= self.expires:
            self.state = "on_hold"
        hold_is_over = self.state == "on_hold" and now >= self.expires + HOLD
        if hold_is_over or (self.state in {"active", "canceled"} and now >= self.expires):
            self.state, self.auto_renewing = "expired", False


class PurchaseBook:
    """Purchases told to it by a test, or invented on first sight."""

    def __init__(self, clock: VendorClock, subscription: str, product: str) -> None:
        self._clock = clock
        self._defaults: dict[Kind, str] = {"subscription": subscription, "product": product}
        self._purchases: BoundedDict[str, Purchase] = BoundedDict(MAX_PURCHASES)

    def find(self, token: str) -> Purchase | None:
        """The purchase as it stands now, if the token was seen before."""
        purchase = self._purchases.get(token)
        if purchase is not None:
            purchase.settle(self._clock.now())
        return purchase

    def get_or_make(self, token: str, kind: Kind, product_id: str | None = None) -> Purchase:
        """The purchase as it stands now; an unseen one is active (or what its token says) from this moment."""
        known = self.find(token)
        if known is not None:
            return known
        story = read_token(token)
        now = self._clock.now()
        product_id = story.product_id or product_id or self._defaults[kind]
        purchase = Purchase(token, kind, product_id, "active", now, now, test=story.test, story=story)
        state = story.state or "active"
        if kind == "product":
            state = {"active": "purchased", "pending": "pending"}.get(state, "canceled")  # type: ignore[assignment]
        purchase.enter(state, now)
        purchase.acknowledged |= story.acknowledged
        self._purchases.set(token, purchase)
        return purchase

    def voided_since(self, package: str, since: datetime, *, subscriptions: bool) -> list[Purchase]:
        """An app's purchases whose money went back, in that order."""
        now, found = self._clock.now(), []
        for purchase in self._purchases.values():
            purchase.settle(now)
            wanted = purchase.package == package and (subscriptions or purchase.kind == "product")
            if wanted and purchase.voided is not None and since <= purchase.voided <= now:
                found.append((purchase.voided, purchase.token, purchase))
        return [purchase for _, _, purchase in sorted(found, key=lambda each: each[:2])]

    def replace(self, token: str) -> None:
        """End the purchase that a newer one took the place of."""
        old = self.get_or_make(token, "subscription")
        old.enter("expired", self._clock.now())
        old.expires, old.replaced = self._clock.now(), True

    def clear(self) -> None:
        self._purchases.clear()
