"""What becomes of money that went back, without any webhook: on no list of new refunds and disputes is it ever told."""

import asyncio
from datetime import timedelta

import httpx
import pytest

from coin_service.returns import ReturnStore
from coin_service.sweeper import HORIZON_SECONDS, RETURNS_PER_ROUND, StripeSweeper
from coin_service.testing.auditing import audit
from coin_service.testing.client import OpenClient
from coin_service.testing.stripe import FakeStripe
from coin_service.testing.sweeping import SWEEP_SECONDS, balance, make_due, order, pay
from common.clock import utc_now
from common.mongo import Database, Document


@pytest.fixture
async def bought(
    client: httpx.AsyncClient, sweepers: list[StripeSweeper], stripe: FakeStripe, database: Database, ada: str
) -> str:
    """A payment whose 100 coins are credited beside the bonus of 100; without its prefix."""
    name = await order(client, ada)
    pay(stripe, name)
    await make_due(database, "checkouts")
    await sweepers[0].sweep_checkouts()
    assert await balance(client, ada) == 200
    return name.removeprefix("pi_")


async def dispute(sweeper: StripeSweeper, stripe: FakeStripe, key: str, state: str) -> None:
    """A dispute is made, and found as a new one."""
    stripe.objects[f"ch_{key}"]["disputed"] = True
    stripe.disputes[f"ch_{key}"] = [state]
    stripe.returned["disputes"] = [{"id": "dp_1", "charge": f"ch_{key}", "payment_intent": f"pi_{key}"}]
    await sweeper.sweep_disputes()


async def refund(sweeper: StripeSweeper, stripe: FakeStripe, key: str, amount: int) -> None:
    """A refund is made, and found as a new one."""
    stripe.refund(key, amount)
    stripe.returned["refunds"] = [{"id": "re_1", "charge": f"ch_{key}", "payment_intent": f"pi_{key}"}]
    await sweeper.sweep_refunds()


async def look_again(sweepers: list[StripeSweeper], database: Database) -> None:
    """It is time: all processes look at once, twice over."""
    await make_due(database, "returns")
    await asyncio.gather(*(sweeper.sweep_returns() for sweeper in sweepers * 2))


async def noted(database: Database) -> list[Document]:
    return await database["returns"].find({}).to_list(200)


async def test_dispute_won_gives_the_coins_again(
    client: httpx.AsyncClient,
    sweepers: list[StripeSweeper],
    stripe: FakeStripe,
    database: Database,
    ada: str,
    bought: str,
) -> None:
    await dispute(sweepers[0], stripe, bought, "needs_response")
    assert await balance(client, ada) == 100
    for state in ("under_review", "under_review", "won"):
        assert await balance(client, ada) == 100
        stripe.disputes[f"ch_{bought}"] = [state]
        await look_again(sweepers, database)
    assert await balance(client, ada) == 200
    assert await database["entries"].count_documents({"adjusts": {"$exists": True}}) == 2
    await look_again(sweepers, database)
    assert await noted(database) == []
    assert (await audit(database)).faults == []


async def test_dispute_lost_stays_lost_and_is_forgotten_in_time(
    client: httpx.AsyncClient,
    sweepers: list[StripeSweeper],
    stripe: FakeStripe,
    database: Database,
    ada: str,
    bought: str,
) -> None:
    await dispute(sweepers[0], stripe, bought, "needs_response")
    long_ago = {"$set": {"noted_at": utc_now() - timedelta(seconds=HORIZON_SECONDS + 1)}}
    await database["returns"].update_many({}, long_ago)
    await look_again(sweepers, database)
    assert [each["undecided"] for each in await noted(database)] == [True]  # however long it takes
    stripe.disputes[f"ch_{bought}"] = ["lost"]
    for _ in range(3):
        await look_again(sweepers, database)
        assert len(await noted(database)) == 1
    await database["returns"].update_many({}, long_ago)
    await look_again(sweepers, database)
    assert await noted(database) == []
    assert await balance(client, ada) == 100


async def test_inquiry_that_becomes_a_dispute_takes_the_coins(
    client: httpx.AsyncClient,
    sweepers: list[StripeSweeper],
    stripe: FakeStripe,
    database: Database,
    ada: str,
    bought: str,
) -> None:
    await dispute(sweepers[0], stripe, bought, "warning_needs_response")
    assert await balance(client, ada) == 200
    stripe.disputes[f"ch_{bought}"] = ["needs_response"]
    await look_again(sweepers, database)
    assert await balance(client, ada) == 100
    stripe.disputes[f"ch_{bought}"] = ["warning_closed"]
    for _ in range(2):
        await look_again(sweepers, database)
    assert await balance(client, ada) == 200
    assert await noted(database) == []


async def test_refund_that_fails_later_gives_the_coins_again(
    client: httpx.AsyncClient,
    sweepers: list[StripeSweeper],
    stripe: FakeStripe,
    database: Database,
    ada: str,
    bought: str,
) -> None:
    await refund(sweepers[0], stripe, bought, 100)
    assert await balance(client, ada) == 100
    stripe.refund(bought, 40)  # one of two was canceled
    await look_again(sweepers, database)
    assert await balance(client, ada) == 160
    stripe.refund(bought, 0)
    await look_again(sweepers, database)
    assert await balance(client, ada) == 200
    await look_again(sweepers, database)
    assert await noted(database) == []


async def test_pauses_grow_and_begin_anew_with_news(
    sweepers: list[StripeSweeper], stripe: FakeStripe, database: Database, bought: str
) -> None:
    await refund(sweepers[0], stripe, bought, 100)
    pauses: list[float] = []
    for _ in range(10):
        [document] = await noted(database)
        pauses.append((document["due_at"] - utc_now()).total_seconds())
        await make_due(database, "returns")
        await sweepers[0].sweep_returns()
    assert pauses == pytest.approx([300, *(min(86_400, 300 * 2**n) for n in range(1, 10))], abs=10)
    stripe.refund(bought, 50)
    await make_due(database, "returns")
    await sweepers[0].sweep_returns()
    [document] = await noted(database)
    assert (document["due_at"] - utc_now()).total_seconds() == pytest.approx(SWEEP_SECONDS, abs=10)


async def test_stripe_away_changes_nothing(
    client: httpx.AsyncClient,
    sweepers: list[StripeSweeper],
    stripe: FakeStripe,
    database: Database,
    ada: str,
    bought: str,
) -> None:
    await refund(sweepers[0], stripe, bought, 100)
    await database["returns"].update_many(
        {}, {"$set": {"noted_at": utc_now() - timedelta(seconds=HORIZON_SECONDS * 2)}}
    )
    stripe.answers = [500] * 3
    await make_due(database, "returns")
    await sweepers[0].sweep_returns()
    assert len(await noted(database)) == 1
    stripe.refund(bought, 0)
    await look_again(sweepers, database)
    assert await balance(client, ada) == 200


async def test_crash_between_the_news_and_the_coins(
    client: httpx.AsyncClient,
    sweepers: list[StripeSweeper],
    stripe: FakeStripe,
    database: Database,
    ada: str,
    bought: str,
) -> None:
    await dispute(sweepers[0], stripe, bought, "under_review")
    stripe.disputes[f"ch_{bought}"] = ["won"]
    # Somebody learnt of it, noted it, and died before the coins were given again.
    decided = {"returned": 0, "undecided": False, "looks": 0}
    await database["returns"].update_many({}, {"$set": decided, "$inc": {"turn": 1}})
    await look_again(sweepers, database)
    assert await balance(client, ada) == 200
    assert await noted(database) == []


async def test_news_during_a_look_keep_the_payment(
    sweepers: list[StripeSweeper], stripe: FakeStripe, database: Database, bought: str
) -> None:
    await refund(sweepers[0], stripe, bought, 100)
    await make_due(database, "returns")
    store = ReturnStore(database, look_after_seconds=300)
    claimed = await store.claim()
    assert claimed is not None
    await make_due(database, "duties")
    await refund(sweepers[1], stripe, bought, 30)
    await store.remove(claimed)
    await store.set_due(claimed, seconds=-1)
    assert await store.claim() is None
    assert [each["returned"] for each in await noted(database)] == [30]


async def test_payment_of_nobody_is_forgotten(
    sweepers: list[StripeSweeper], stripe: FakeStripe, database: Database
) -> None:
    stripe.pay("soldElsewhere1")
    await refund(sweepers[0], stripe, "soldElsewhere1", 100)
    await look_again(sweepers, database)
    assert len(await noted(database)) == 1  # somebody may just be claiming it
    await database["returns"].update_many({}, {"$set": {"noted_at": utc_now() - timedelta(minutes=5)}})
    await look_again(sweepers, database)
    assert await noted(database) == []
    assert await database["entries"].count_documents({}) == 0


async def test_round_is_bounded_and_its_query_indexed(
    sweepers: list[StripeSweeper], stripe: FakeStripe, database: Database
) -> None:
    store = ReturnStore(database, look_after_seconds=300)
    await store.ensure_schema()
    due = {"returned": 1, "undecided": False, "noted_at": utc_now(), "turn": 1, "looks": 0, "due_at": utc_now()}
    await database["returns"].insert_many([{"_id": f"pi_unknown{n:04}", **due} for n in range(RETURNS_PER_ROUND + 20)])
    await sweepers[0].sweep_returns()
    assert await database["returns"].count_documents({"due_at": {"$lte": utc_now()}}) == 20
    plan = await database["returns"].find({"due_at": {"$lte": utc_now()}}).sort("due_at", 1).explain()
    assert "IXSCAN" in str(plan["queryPlanner"]["winningPlan"])
    assert "SORT" not in str(plan["queryPlanner"]["winningPlan"]).replace("'SORT_KEY", "")


async def test_it_runs_with_the_service(open_client: OpenClient, stripe: FakeStripe, ada: str) -> None:
    async def becomes(client: httpx.AsyncClient, coins: int) -> None:
        async with asyncio.timeout(20):
            while True:
                if await balance(client, ada) == coins:
                    return
                await asyncio.sleep(0.05)

    often = {"stripe_sweep_seconds": 0.1}
    async with open_client(**often) as client, open_client(**often):
        name = await order(client, ada)
        key = name.removeprefix("pi_")
        pay(stripe, name)
        await becomes(client, 200)
        stripe.refund(key, 100)
        stripe.returned["refunds"] = [{"id": "re_1", "payment_intent": name, "charge": f"ch_{key}"}]
        await becomes(client, 100)
        stripe.returned["refunds"] = []
        stripe.refund(key, 0)
        await becomes(client, 200)
