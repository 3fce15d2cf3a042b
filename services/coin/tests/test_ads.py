"""Open ads: each side's word settles one of the other's, in any order, for an hour."""

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coin_service.ads import MAX_OPEN_ADS, OPEN_SECONDS
from coin_service.earning import EarningService
from coin_service.errors import EarnLimitReachedError
from coin_service.ledger import Ledger, Request
from coin_service.settings import EarnRule
from coin_service.store import LedgerStore
from common.clock import utc_now
from common.mongo import new_id
from common.testing.auth import FakeAuth

WITHOUT_PAUSE = EarnRule(max_amount=10, cooldown_seconds=0, daily_limit=100)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ads=st.permutations(["app", "callback"] * 4), parts=st.lists(st.integers(1, 4), min_size=8, max_size=8))
async def test_in_any_order_as_many_ads_pay_as_were_watched(
    store: LedgerStore, auth: FakeAuth, ads: list[str], parts: list[int]
) -> None:
    user_id = auth.add_account(f"{new_id()}@example.com").id
    rules = {"ad_watch": WITHOUT_PAUSE}
    services = [EarningService(Ledger(store, auth.client(), signup_bonus_coins=0), rules) for _ in range(3)]

    async def tell(number: int, by: str) -> int:
        service = services[number % 3]
        if by == "callback":
            return (await service.confirm_ad(user_id, 10, transaction_id=f"{user_id}-{number}")).made.balance
        request = Request.of(user_id, None, "earn")
        return (await service.earn(user_id, 10, source="ad_watch", request=request)).made.balance

    waiting = list(enumerate(ads))
    for part in parts:
        await asyncio.gather(*(tell(number, by) for number, by in waiting[:part]))
        waiting = waiting[part:]
        done = ads[: len(ads) - len(waiting)]
        last = await store.find_last(user_id)
        assert last is not None
        # Never less than the more talkative side told of, and never more than all of it.
        assert 10 * max(done.count("app"), done.count("callback")) <= last.balance <= 40
    last = await store.find_last(user_id)
    assert last is not None
    assert last.balance == 40
    assert last.earned["ad_watch"].open_ads == ()


def service_at(ledger: Ledger, times: Iterable[datetime], *, daily_limit: int = 100) -> EarningService:
    rule = EarnRule(max_amount=10, cooldown_seconds=0, daily_limit=daily_limit)
    moments = iter(times)
    return EarningService(ledger, {"ad_watch": rule}, now=lambda: next(moments))


@pytest.mark.parametrize(("seconds", "coins"), [(OPEN_SECONDS - 1, 110), (OPEN_SECONDS + 1, 120)])
async def test_an_ad_is_waited_for_an_hour(ledger: Ledger, ada: str, seconds: float, coins: int) -> None:
    start = utc_now().replace(hour=1)
    later = start + timedelta(seconds=seconds)
    service = service_at(ledger, [start, start, later, later])
    await service.earn(ada, 10, source="ad_watch", request=Request.of(ada, None, "earn"))

    reward = await service.confirm_ad(ada, 10, transaction_id="t1")

    assert reward.made.balance == coins


async def test_open_ads_do_not_grow_without_end(ledger: Ledger, ada: str) -> None:
    now = utc_now()
    service = service_at(ledger, [now] * 200, daily_limit=1000)
    for _ in range(MAX_OPEN_ADS + 5):
        reward = await service.earn(ada, 1, source="ad_watch", request=Request.of(ada, None, "earn"))

    assert len(reward.made.earned["ad_watch"].open_ads) == MAX_OPEN_ADS


async def test_one_ad_belongs_to_one_user(store: LedgerStore, ledger: Ledger, ada: str, bob: str) -> None:
    service = service_at(ledger, [utc_now()] * 10)
    await service.confirm_ad(ada, 10, transaction_id="t1")
    with pytest.raises(EarnLimitReachedError):
        await service_at(ledger, [utc_now()] * 10, daily_limit=10).confirm_ad(ada, 10, transaction_id="t2")

    reward = await service.confirm_ad(bob, 10, transaction_id="t1")

    assert (reward.replayed, reward.entry.user_id) == (True, ada)
    last = await store.find_last(bob)
    assert last is None or last.balance == 100


async def test_callback_worked_off_hours_later_pays_no_second_time(ledger: Ledger, ada: str) -> None:
    start = utc_now().replace(hour=1)
    service = service_at(ledger, [start, start, *[start + timedelta(hours=5)] * 4])
    await service.earn(ada, 10, source="ad_watch", request=Request.of(ada, None, "earn"))

    reward = await service.confirm_ad(ada, 10, transaction_id="t1", told_at=start + timedelta(seconds=5))

    assert reward.made.balance == 110


async def test_clocks_that_differ_give_no_day_twice(ledger: Ledger, ada: str) -> None:
    midnight = utc_now().replace(hour=0, minute=0, second=0, microsecond=0)
    ahead, behind = (
        service_at(ledger, [midnight + timedelta(seconds=seconds)] * 99, daily_limit=10) for seconds in (1, -1)
    )
    await behind.confirm_ad(ada, 10, transaction_id="t1")
    await ahead.confirm_ad(ada, 10, transaction_id="t2")
    for number, service in enumerate([behind, ahead, behind]):
        with pytest.raises(EarnLimitReachedError):
            await service.confirm_ad(ada, 10, transaction_id=f"t{number + 3}")
