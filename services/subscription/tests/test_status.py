"""When Google is asked again, and what holds while it cannot be."""

import asyncio
from datetime import timedelta

import httpx
import pytest

from subscription_service.errors import PurchaseExpiredError
from subscription_service.models import Standing
from subscription_service.service import SubscriptionService
from subscription_service.testing.callers import MakeService
from subscription_service.testing.clock import Clock
from subscription_service.testing.google_play import FakePlay

ADA = "a" * 24
PACKAGE, PRODUCT = "com.example.app", "pro_monthly"
OUTAGES = [503, 429, 401, 403, b"<html>", b"{}", httpx.ReadTimeout("slow"), httpx.ConnectError("refused")]


async def verify(service: SubscriptionService, token: str = "t1") -> Standing:
    return await service.verify(ADA, token, PRODUCT, PACKAGE)


def told(standing: Standing) -> tuple[str, bool]:
    return (standing.subscription.status.value if standing.subscription else "none"), standing.is_active


async def test_google_is_not_asked_before_the_expiry(
    service: SubscriptionService, play: FakePlay, clock: Clock
) -> None:
    play.put("t1")
    await verify(service)
    clock.turn(days=29)
    assert told(await service.status(ADA)) == ("active", True)
    assert (await service.entitlement(ADA)).active
    assert len(play.reads) == 1


async def test_a_renewal_is_seen_once_the_expiry_has_passed(
    service: SubscriptionService, play: FakePlay, clock: Clock
) -> None:
    play.put("t1")
    await verify(service)
    clock.turn(days=30, seconds=1)
    play.put("t1", days=30)
    assert told(await service.status(ADA)) == ("active", True)
    entitlement = await service.entitlement(ADA)
    assert entitlement.until == clock.now + timedelta(days=30)
    assert len(play.reads) == 2


async def test_an_expiry_is_seen_and_never_asked_about_again(
    service: SubscriptionService, play: FakePlay, clock: Clock
) -> None:
    play.put("t1")
    await verify(service)
    clock.turn(days=31)
    play.put("t1", "EXPIRED", days=-1)
    for _ in range(3):
        assert told(await service.status(ADA)) == ("expired", False)
        assert not (await service.entitlement(ADA)).active
    assert len(play.reads) == 2


async def test_an_expiry_without_a_time_keeps_the_known_one(
    service: SubscriptionService, play: FakePlay, clock: Clock
) -> None:
    play.put("t1", days=1)
    known = await verify(service)
    clock.turn(days=2)
    play.put("t1", "EXPIRED", days=None)
    ended = await service.status(ADA)
    assert told(ended) == ("expired", False)
    assert known.subscription is not None
    assert ended.subscription is not None
    assert ended.subscription.expires_at == known.subscription.expires_at


@pytest.mark.parametrize("answer", [404, 410])
async def test_a_token_that_google_forgot_after_its_expiry_is_over(
    service: SubscriptionService, play: FakePlay, clock: Clock, answer: int
) -> None:
    play.put("t1")
    await verify(service)
    clock.turn(days=31)
    play.answers = [answer]
    assert told(await service.status(ADA)) == ("expired", False)


async def test_a_not_found_before_the_expiry_ends_nothing_but_gone_does(
    service: SubscriptionService, play: FakePlay
) -> None:
    play.put("t1")
    await verify(service)
    play.answers = [404]
    with pytest.raises(Exception, match="does not know this purchase"):
        await verify(service)
    assert told(await service.status(ADA)) == ("active", True)
    play.answers = [410]
    with pytest.raises(PurchaseExpiredError):
        await verify(service)
    assert told(await service.status(ADA)) == ("expired", False)


@pytest.mark.parametrize("outage", OUTAGES)
@pytest.mark.parametrize("state", ["ACTIVE", "IN_GRACE_PERIOD"])
async def test_the_last_known_state_holds_while_google_is_down(
    service: SubscriptionService, play: FakePlay, clock: Clock, outage: int | bytes | Exception, state: str
) -> None:
    play.put("t1", state, days=1)
    known = await verify(service)
    play.answers = [outage] * 100
    clock.turn(days=2)
    held = await service.status(ADA)
    assert held.is_active
    assert held.subscription is not None
    assert known.subscription is not None
    assert held.subscription.status == known.subscription.status
    entitlement = await service.entitlement(ADA)
    assert entitlement.covers(clock.now)
    assert not entitlement.covers(clock.now + timedelta(minutes=2))  # then it is asked again
    # Not for ever: three days after the expiry.
    clock.turn(days=2, seconds=-10)
    assert (await service.entitlement(ADA)).until == clock.now + timedelta(seconds=10)
    clock.turn(seconds=11)
    assert not (await service.status(ADA)).is_active
    assert not (await service.entitlement(ADA)).active
    # And what Google says when it is back counts again.
    play.answers = []
    play.put("t1", days=20)
    assert told(await service.status(ADA)) == ("active", True)


async def test_what_does_not_renew_ends_at_its_expiry_even_while_google_is_down(
    service: SubscriptionService, play: FakePlay, clock: Clock
) -> None:
    play.put("t1", "CANCELED", days=1)
    await verify(service)
    play.put("prepaid", "ACTIVE", days=1)["lineItems"][0]["autoRenewingPlan"] = None
    await verify(service, "prepaid")
    play.answers = [503] * 100
    clock.turn(days=1, seconds=1)
    assert not (await service.status(ADA)).is_active
    assert not (await service.entitlement(ADA)).active


async def test_google_heard_after_the_expiry_counts_alone(
    service: SubscriptionService, play: FakePlay, clock: Clock
) -> None:
    play.put("t1", days=1)
    await verify(service)
    clock.turn(days=1, seconds=1)
    assert told(await service.status(ADA)) == ("active", False)  # Google: active, paid until a second ago
    play.answers = [503] * 100
    assert told(await service.status(ADA)) == ("active", False)


@pytest.mark.parametrize("state", ["ON_HOLD", "PAUSED", "PENDING"])
async def test_recovery_is_seen_by_status_at_once(service: SubscriptionService, play: FakePlay, state: str) -> None:
    play.put("t1", state, days=None if state == "PENDING" else -1)
    await verify(service)
    play.put("t1", "ACTIVE")
    assert told(await service.status(ADA)) == ("active", True)
    assert len(play.acknowledged) == 1


async def test_entitlements_ask_about_what_grants_nothing_every_ten_seconds(
    service: SubscriptionService, play: FakePlay, clock: Clock
) -> None:
    play.put("t1", "ON_HOLD", days=-1)
    await verify(service)
    for _ in range(5):
        assert not (await service.entitlement(ADA)).active
    assert len(play.reads) == 1
    play.put("t1", "ACTIVE")
    clock.turn(seconds=10)
    assert (await service.entitlement(ADA)).active


async def test_many_at_once_ask_one_question(make_service: MakeService, play: FakePlay, clock: Clock) -> None:
    service = make_service()
    play.put("t1")
    await verify(service)
    clock.turn(days=31)
    play.put("t1", days=20)
    standings = await asyncio.gather(*(service.status(ADA) for _ in range(20)))
    assert {told(standing) for standing in standings} == {("active", True)}
    assert len(play.reads) == 2


async def test_a_slow_google_is_not_waited_for(make_service: MakeService, play: FakePlay, clock: Clock) -> None:
    service = make_service()
    play.put("t1", days=1)
    await verify(service)
    clock.turn(days=1, seconds=1)
    play.put("t1", days=30)
    play.gate = asyncio.Event()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    entitlement = await service.entitlement(ADA)
    assert loop.time() - begun < 4  # of a question that takes up to 6
    assert entitlement.covers(clock.now)  # the last known state holds
    assert entitlement.until == clock.now + timedelta(minutes=1)
    begun = loop.time()
    assert (await service.entitlement(ADA)).active
    assert loop.time() - begun < 1.2  # late comers do not wait as long again
    play.gate.set()
    assert told(await service.status(ADA)) == ("active", True)
    assert len(play.reads) == 2  # the question under way was not asked anew
    assert (await service.entitlement(ADA)).until == clock.now + timedelta(days=30)


async def test_an_older_answer_does_not_undo_a_newer_one(
    make_service: MakeService, play: FakePlay, clock: Clock
) -> None:
    first, second = make_service(), make_service()
    play.put("t1", days=1)
    await verify(first)
    clock.turn(days=2)
    play.gate = asyncio.Event()
    play.asked.clear()
    play.put("t1", "EXPIRED", days=-1)
    slow = asyncio.create_task(first.status(ADA))
    async with asyncio.timeout(5):
        await play.asked.wait()
    gate, play.gate = play.gate, None
    clock.turn(seconds=1)
    play.put("t1", days=30)
    assert told(await verify(second)) == ("active", True)
    gate.set()
    assert told(await slow) == ("active", True)
    assert told(await second.status(ADA)) == ("active", True)
