"""What a purchase grants, and what ends it."""

from pathlib import Path

import httpx
import pytest

from subscription_service.errors import (
    GooglePlayUnavailableError,
    ProductMismatchError,
    PurchaseExpiredError,
    PurchaseNotFoundError,
    TestPurchaseNotAllowedError,
)
from subscription_service.models import token_hash
from subscription_service.service import SubscriptionService
from subscription_service.testing.callers import ADA, BOB, MakeService, told, verify
from subscription_service.testing.clock import Clock
from subscription_service.testing.google_play import PACKAGE, PRODUCT, FakePlay


@pytest.mark.parametrize(
    ("state", "days", "expected"),
    [
        ("PENDING", None, ("pending", False)),
        ("ACTIVE", 30, ("active", True)),
        ("IN_GRACE_PERIOD", 3, ("grace_period", True)),
        ("ON_HOLD", -2, ("on_hold", False)),
        ("PAUSED", -2, ("paused", False)),
        ("CANCELED", 5, ("canceled", True)),
        ("CANCELED", -0.001, ("canceled", False)),
        ("ACTIVE", -0.001, ("active", False)),
    ],
)
async def test_google_states(
    service: SubscriptionService, play: FakePlay, state: str, days: float | None, expected: tuple[str, bool]
) -> None:
    play.put("t1", state, days=days)
    assert told(await verify(service)) == expected
    assert told(await service.status(ADA)) == expected
    assert (await service.entitlement(ADA)).active is expected[1]


@pytest.mark.parametrize(("state", "days"), [("EXPIRED", -1), ("PENDING_PURCHASE_CANCELED", None)])
async def test_an_ended_purchase_is_refused_and_remembered(
    service: SubscriptionService, play: FakePlay, state: str, days: float | None
) -> None:
    play.put("t1", state, days=days)
    with pytest.raises(PurchaseExpiredError):
        await verify(service)
    assert told(await service.status(ADA)) == ("expired", False)
    assert play.acknowledged == []


async def test_an_active_purchase_that_expires_is_expired_on_record(
    service: SubscriptionService, play: FakePlay, clock: Clock
) -> None:
    play.put("t1")
    await verify(service)
    clock.turn(days=1)
    play.put("t1", "EXPIRED", days=-0.5)
    with pytest.raises(PurchaseExpiredError):
        await verify(service)
    assert told(await service.status(ADA)) == ("expired", False)
    assert not (await service.entitlement(ADA)).active


async def test_the_latest_line_item_counts(service: SubscriptionService, play: FakePlay, clock: Clock) -> None:
    purchase = play.put("t1", days=-1)
    purchase["lineItems"].append({"productId": "extra", "expiryTime": "2026-12-01T00:00:00.123456789Z"})
    standing = await verify(service)
    assert standing.is_active
    assert standing.subscription is not None
    assert standing.subscription.expires_at is not None
    assert standing.subscription.expires_at.isoformat() == "2026-12-01T00:00:00.123000+00:00"
    assert standing.subscription.product_id == PRODUCT


@pytest.mark.parametrize("fraction", ["", ".1", ".12", ".123", ".999999", ".123456789"])
async def test_times_of_any_precision(service: SubscriptionService, play: FakePlay, fraction: str) -> None:
    play.put("t1")["lineItems"][0]["expiryTime"] = f"2026-12-01T00:00:00{fraction}Z"
    first = await verify(service)
    again = await service.status(ADA)
    assert first.subscription is not None
    assert again.subscription is not None
    assert again.subscription.expires_at == first.subscription.expires_at


async def test_another_product_is_a_mismatch(service: SubscriptionService, play: FakePlay) -> None:
    play.put("t1")
    with pytest.raises(ProductMismatchError):
        await service.verify(ADA, "t1", "pro_yearly", PACKAGE)
    assert told(await service.status(ADA)) == ("none", False)
    assert play.acknowledged == []


async def test_test_purchases_count(make_service: MakeService, play: FakePlay) -> None:
    play.put("t1", testPurchase={})
    standing = await verify(make_service())  # refused in production only
    assert standing.subscription is not None
    assert standing.subscription.test_purchase
    assert standing.is_active


async def test_production_may_refuse_test_purchases(
    make_service: MakeService, play: FakePlay, production_key_file: Path
) -> None:
    play.put("test", testPurchase={})
    play.put("real")
    production = {"environment": "production", "google_application_credentials": production_key_file}
    strict = make_service(**production)
    with pytest.raises(TestPurchaseNotAllowedError):
        await verify(strict, token="test")
    assert told(await strict.status(ADA)) == ("none", False)
    assert told(await verify(strict, token="real")) == ("active", True)
    assert told(await verify(make_service(allow_test_purchases=True, **production), BOB, "test")) == ("active", True)


async def test_the_best_subscription_counts(service: SubscriptionService, play: FakePlay) -> None:
    for token, state, days in [("a", "ON_HOLD", -1), ("b", "CANCELED", 9), ("c", "ACTIVE", 3), ("d", "PAUSED", -1)]:
        play.put(token, state, days=days)
        await verify(service, token=token)
    standing = await service.status(ADA)
    assert standing.subscription is not None
    assert standing.subscription.id == token_hash("c")
    assert len(play.reads) == 4  # nothing that is paid for is asked about again


async def test_many_open_purchases_all_have_their_turn(
    service: SubscriptionService, play: FakePlay, clock: Clock
) -> None:
    for number in range(7):
        play.put(f"t{number}", "ON_HOLD", days=-1 - number)
        await verify(service, token=f"t{number}")
    play.put("t6")
    for _ in range(3):
        clock.turn(minutes=1)
        standing = await service.status(ADA)
    assert told(standing) == ("active", True)


async def test_unknown_tokens(service: SubscriptionService, play: FakePlay) -> None:
    for token in ["nobody", ".", "..", "..."]:
        with pytest.raises(PurchaseNotFoundError):
            await verify(service, token=token)
    assert play.reads == ["nobody"]  # dots would leave their place in the path


@pytest.mark.parametrize(
    "token", ["a/../../b", "a?b=c", "a#b", "a%2Fb", "a:acknowledge", "~x.y-z", "a\\b", "http://x/"]
)
async def test_tokens_stay_one_segment(service: SubscriptionService, play: FakePlay, token: str) -> None:
    play.put(token)
    assert told(await verify(service, token=token)) == ("active", True)
    assert play.reads == [token]
    assert play.acknowledged == [(PACKAGE, PRODUCT, token)]


async def test_a_broken_connection_is_tried_again(service: SubscriptionService, play: FakePlay) -> None:
    play.put("t1")
    play.answers = [httpx.ConnectError("refused"), 503]
    assert told(await verify(service)) == ("active", True)
    assert len(play.reads) == 3
    play.answers = [500] * 3
    with pytest.raises(GooglePlayUnavailableError):
        await verify(service)
    assert len(play.reads) == 6
    assert told(await service.status(ADA)) == ("active", True)
