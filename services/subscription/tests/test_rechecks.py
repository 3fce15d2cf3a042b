"""What the background sees to: acknowledging, and pending purchases."""

import asyncio
from datetime import timedelta
from itertools import pairwise

import httpx

from common.mongo import Database
from common.testing import user_headers
from subscription_service.models import recheck_delay
from subscription_service.rechecks import BATCH, Rechecker
from subscription_service.service import SubscriptionService
from subscription_service.testing.callers import MakeService, OpenClient
from subscription_service.testing.clock import Clock
from subscription_service.testing.google_play import FakePlay

ADA = "a" * 24
PACKAGE, PRODUCT = "com.example.app", "pro_monthly"


async def verify(service: SubscriptionService, token: str = "t1") -> bool:
    return (await service.verify(ADA, token, PRODUCT, PACKAGE)).is_active


def rechecker(service: SubscriptionService) -> Rechecker:
    return Rechecker(service, interval_seconds=3600)


async def test_a_purchase_is_acknowledged_once(
    service: SubscriptionService, play: FakePlay, clock: Clock, database: Database
) -> None:
    play.put("t1")
    for _ in range(3):
        assert await verify(service)
    clock.turn(hours=2)
    assert await rechecker(service).look() == 0
    assert play.acknowledged == [(PACKAGE, PRODUCT, "t1")]
    document = await database["subscriptions"].find_one({})
    assert document is not None
    assert document["acknowledged"] is True


async def test_what_must_not_be_acknowledged(service: SubscriptionService, play: FakePlay) -> None:
    play.put("pending", "PENDING", days=None)
    play.put("hold", "ON_HOLD", days=-1)
    play.put("over", "CANCELED", days=-1)
    play.put("done", acknowledgementState="ACKNOWLEDGEMENT_STATE_ACKNOWLEDGED")
    for token in ("pending", "hold", "over", "done"):
        await verify(service, token)
    assert not any(path.endswith(b":acknowledge") for path in play.paths)


async def test_a_failed_acknowledgement_fails_nothing_and_is_tried_again(
    service: SubscriptionService, play: FakePlay, clock: Clock
) -> None:
    play.put("t1")
    play.acknowledge_answers = [503] * 3
    assert await verify(service)
    assert play.acknowledged == []
    assert await rechecker(service).look() == 0  # not at once
    clock.turn(seconds=30)
    assert await rechecker(service).look() == 1
    assert play.acknowledged == [(PACKAGE, PRODUCT, "t1")]
    clock.turn(hours=2)
    assert await rechecker(service).look() == 0


async def test_the_next_verify_acknowledges_too(service: SubscriptionService, play: FakePlay) -> None:
    play.put("t1")
    play.acknowledge_answers = [400]
    assert await verify(service)
    assert await verify(service)
    assert len(play.acknowledged) == 1


async def test_tries_grow_rarer(service: SubscriptionService, play: FakePlay, clock: Clock) -> None:
    play.put("t1")
    play.acknowledge_answers = [400] * 1000
    await verify(service)
    looked_at = []
    begun = clock.now
    while clock.now < begun + timedelta(hours=6):
        clock.turn(seconds=30)
        if await rechecker(service).look():
            looked_at.append((clock.now - begun).total_seconds())
    gaps = [later - earlier for earlier, later in pairwise(looked_at)]
    assert looked_at[0] == 30
    assert gaps == sorted(gaps)
    assert gaps[0] == 60
    assert gaps[-1] == 3600
    assert recheck_delay(10_000) == timedelta(hours=1)


async def test_a_purchase_refunded_meanwhile_is_left_alone(
    service: SubscriptionService, play: FakePlay, clock: Clock
) -> None:
    play.put("t1")
    play.acknowledge_answers = [400]
    await verify(service)
    play.put("t1", "EXPIRED", days=0)
    clock.turn(minutes=1)
    assert await rechecker(service).look() == 1
    assert play.acknowledged == []
    assert not (await service.entitlement(ADA)).active
    clock.turn(days=1)
    assert await rechecker(service).look() == 0


async def test_a_not_found_in_the_background_ends_nothing_that_is_paid_for(
    service: SubscriptionService, play: FakePlay, clock: Clock
) -> None:
    play.put("t1")
    play.acknowledge_answers = [400]
    await verify(service)
    clock.turn(minutes=1)
    play.answers = [404]
    assert await rechecker(service).look() == 1
    assert (await service.entitlement(ADA)).active
    clock.turn(hours=1)
    assert await rechecker(service).look() == 1
    assert len(play.acknowledged) == 1


async def test_what_google_says_of_acknowledging_a_pending_purchase_means_nothing(
    service: SubscriptionService, play: FakePlay
) -> None:
    del play.put("t1", "PENDING", days=None)["acknowledgementState"]
    assert not await verify(service)
    play.put("t1")
    assert await verify(service)
    assert play.acknowledged == [(PACKAGE, PRODUCT, "t1")]


async def test_a_pending_purchase_is_found_paid_while_no_app_runs(
    service: SubscriptionService, play: FakePlay, clock: Clock
) -> None:
    play.put("t1", "PENDING", days=None)
    assert not await verify(service)
    clock.turn(seconds=30)
    assert await rechecker(service).look() == 1
    play.put("t1")
    clock.turn(hours=1)
    assert await rechecker(service).look() == 1
    assert play.acknowledged == [(PACKAGE, PRODUCT, "t1")]
    reads = len(play.reads)
    assert (await service.entitlement(ADA)).active
    assert len(play.reads) == reads


async def test_replicas_share_the_work(make_service: MakeService, play: FakePlay, clock: Clock) -> None:
    replicas = [make_service() for _ in range(3)]
    tokens = [f"t{number}" for number in range(12)]
    play.acknowledge_answers = [400] * len(tokens)
    for token in tokens:
        play.put(token)
        await verify(replicas[0], token)
    reads = len(play.reads)
    clock.turn(seconds=30)
    for _ in range(len(tokens)):
        if not sum(await asyncio.gather(*(rechecker(replica).look() for replica in replicas))):
            break
    assert sorted(token for _, _, token in play.acknowledged) == sorted(tokens)
    assert len(play.reads) - reads == len(tokens)  # each was taken by one


async def test_google_down_ends_the_look_not_the_background(
    service: SubscriptionService, play: FakePlay, clock: Clock
) -> None:
    play.acknowledge_answers = [400] * (BATCH + 5)
    for number in range(BATCH + 5):
        play.put(f"t{number}")
        await verify(service, f"t{number}")
    clock.turn(seconds=30)
    play.answers = [httpx.ConnectError("refused")] * 3
    reads = len(play.reads)
    assert await rechecker(service).look() == 0
    assert len(play.reads) == reads + 3
    assert await rechecker(service).look() == BATCH  # and no more than that in one look
    clock.turn(minutes=1)
    assert await rechecker(service).look() == 5
    assert len(play.acknowledged) == BATCH + 5


async def test_the_application_runs_the_background(open_client: OpenClient, play: FakePlay, clock: Clock) -> None:
    play.put("t1")
    play.acknowledge_answers = [400]
    async with open_client(recheck_interval_seconds=0.05) as client:
        body = {"purchaseToken": "t1", "productId": PRODUCT, "packageName": PACKAGE}
        answer = await client.post("/api/subscription/verify", json=body, headers=user_headers(ADA))
        assert answer.status_code == 200
        clock.turn(minutes=1)
        async with asyncio.timeout(10):
            await play.accepted.wait()
    assert play.acknowledged == [(PACKAGE, PRODUCT, "t1")]
