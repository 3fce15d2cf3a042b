"""Whose a purchase is: one account a purchase, whoever else tries."""

import asyncio
import hashlib

import pytest

from common.mongo import Database
from subscription_service.errors import (
    PurchaseAlreadyLinkedError,
    PurchaseExpiredError,
)
from subscription_service.models import Standing, token_hash
from subscription_service.service import SubscriptionService
from subscription_service.testing.callers import ADA, BOB, MakeService, told, verify
from subscription_service.testing.clock import Clock
from subscription_service.testing.google_play import FakePlay


async def test_one_account_a_purchase(service: SubscriptionService, play: FakePlay) -> None:
    play.put("t1")
    await verify(service, ADA)
    with pytest.raises(PurchaseAlreadyLinkedError):
        await verify(service, BOB)
    assert told(await service.status(BOB)) == ("none", False)
    assert told(await service.status(ADA)) == ("active", True)


@pytest.mark.parametrize("account_id", [ADA, hashlib.sha256(ADA.encode()).hexdigest().upper()])
async def test_google_knows_the_buyer(service: SubscriptionService, play: FakePlay, account_id: str) -> None:
    play.put("t1", externalAccountIdentifiers={"obfuscatedExternalAccountId": account_id})
    with pytest.raises(PurchaseAlreadyLinkedError):
        await verify(service, BOB)
    assert told(await verify(service, ADA)) == ("active", True)


async def test_a_resubscription_in_the_store_is_its_former_owners(service: SubscriptionService, play: FakePlay) -> None:
    play.put("t1", outOfAppPurchaseContext={"expiredExternalAccountIdentifiers": {"obfuscatedExternalAccountId": ADA}})
    with pytest.raises(PurchaseAlreadyLinkedError):
        await verify(service, BOB)
    assert told(await verify(service, ADA)) == ("active", True)


async def test_parallel_verifies_of_one_user_make_one_record(
    make_service: MakeService, play: FakePlay, database: Database
) -> None:
    play.put("t1")
    replicas = [make_service(), make_service(), make_service()]
    standings = await asyncio.gather(*(verify(replicas[number % 3]) for number in range(12)))
    assert {told(standing) for standing in standings} == {("active", True)}
    assert await database["subscriptions"].count_documents({}) == 1
    assert len(play.reads) <= 3  # one question a replica


async def test_two_users_at_once_get_one_purchase(
    make_service: MakeService, play: FakePlay, database: Database
) -> None:
    replicas = [make_service(), make_service()]
    for number in range(10):
        token = f"t{number}"
        play.put(token)
        outcomes = await asyncio.gather(
            verify(replicas[0], ADA, token), verify(replicas[1], BOB, token), return_exceptions=True
        )
        assert sum(isinstance(outcome, Standing) for outcome in outcomes) == 1
        assert sum(isinstance(outcome, PurchaseAlreadyLinkedError) for outcome in outcomes) == 1
    assert await database["subscriptions"].count_documents({}) == 10


@pytest.mark.parametrize("upgrade_first", [False, True])
async def test_an_upgrade_supersedes_what_it_continues(
    service: SubscriptionService, play: FakePlay, upgrade_first: bool
) -> None:
    play.put("old", days=300)  # Google may still call it active for a while
    play.put("new", days=30, linkedPurchaseToken="old")
    if upgrade_first:
        await verify(service, token="new")
        with pytest.raises(PurchaseExpiredError):
            await verify(service, token="old")
    else:
        await verify(service, token="old")
        await verify(service, token="new")
    standing = await service.status(ADA)
    assert standing.subscription is not None
    assert standing.subscription.id == token_hash("new")
    with pytest.raises(PurchaseExpiredError):
        await verify(service, token="old")  # an app that still has the old one at its next start
    assert told(await service.status(ADA)) == ("active", True)


async def test_a_pending_upgrade_leaves_the_old_one(service: SubscriptionService, play: FakePlay, clock: Clock) -> None:
    play.put("old")
    await verify(service, token="old")
    play.put("new", "PENDING", days=None, linkedPurchaseToken="old")
    assert told(await verify(service, token="new")) == ("pending", False)
    assert told(await service.status(ADA)) == ("active", True)
    play.put("new", "PENDING_PURCHASE_CANCELED", days=None, linkedPurchaseToken="old")
    with pytest.raises(PurchaseExpiredError):
        await verify(service, token="new")
    assert told(await service.status(ADA)) == ("active", True)


async def test_nobody_pays_once_for_two_accounts(service: SubscriptionService, play: FakePlay, clock: Clock) -> None:
    play.put("old")
    await verify(service, ADA, "old")
    play.put("new", linkedPurchaseToken="old")
    with pytest.raises(PurchaseAlreadyLinkedError):
        await verify(service, BOB, "new")
    # Google names Bob as the buyer: it is his, and Ada's is over.
    play.put("new", linkedPurchaseToken="old", externalAccountIdentifiers={"obfuscatedExternalAccountId": BOB})
    assert told(await verify(service, BOB, "new")) == ("active", True)
    assert told(await service.status(ADA)) == ("expired", False)


async def test_what_has_ended_may_be_continued_by_anybody(
    service: SubscriptionService, play: FakePlay, clock: Clock
) -> None:
    play.put("old", "CANCELED", days=1)
    await verify(service, ADA, "old")
    clock.turn(days=2)
    play.put("new", linkedPurchaseToken="old")
    assert told(await verify(service, BOB, "new")) == ("active", True)


async def test_a_purchase_that_names_itself_is_not_superseded(service: SubscriptionService, play: FakePlay) -> None:
    play.put("t1", linkedPurchaseToken="t1")
    assert told(await verify(service)) == ("active", True)
    assert told(await verify(service)) == ("active", True)
