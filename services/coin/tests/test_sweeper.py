"""What no webhook told us is found all the same, by one of several processes."""

import asyncio
from datetime import timedelta

import httpx
import pytest

from coin_service.errors import PaymentProviderUnavailableError
from coin_service.providers.http import open_vendor_client
from coin_service.sweeper import GIVE_UP_SECONDS, StripeSweeper
from coin_service.testing.client import OpenClient
from coin_service.testing.stripe import FakeStripe
from coin_service.testing.sweeping import balance, make_due, order, pay, sweeper_of
from common.clock import utc_now
from common.duties import DutyStore
from common.mongo import Database
from common.testing.auth import FakeAuth


async def test_paid_checkout_is_credited(
    client: httpx.AsyncClient, sweepers: list[StripeSweeper], stripe: FakeStripe, database: Database, ada: str
) -> None:
    names = [await order(client, ada) for _ in range(4)]
    await sweepers[0].sweep_checkouts()
    assert await balance(client, ada) == 100  # not due yet
    for name in names[:3]:
        pay(stripe, name)
    await make_due(database, "checkouts")
    await asyncio.gather(*(sweeper.sweep_checkouts() for sweeper in sweepers))
    assert await balance(client, ada) == 400
    waiting = await database["checkouts"].find({"due_at": {"$exists": True}}).to_list(10)
    assert [each["transaction_id"] for each in waiting] == names[3:]
    assert waiting[0]["due_at"] > utc_now() + timedelta(seconds=500)  # and later each time


async def test_checkout_is_given_up_and_faults_are_waited_for(
    client: httpx.AsyncClient, sweepers: list[StripeSweeper], stripe: FakeStripe, database: Database, ada: str
) -> None:
    name = await order(client, ada)
    pay(stripe, name)
    stripe.answers = [500] * 3
    await make_due(database, "checkouts")
    await sweepers[0].sweep_checkouts()
    assert await balance(client, ada) == 100
    await make_due(database, "checkouts")
    await sweepers[0].sweep_checkouts()
    assert await balance(client, ada) == 200

    unpaid = await order(client, ada)
    old = utc_now() - timedelta(seconds=GIVE_UP_SECONDS + 1)
    await database["checkouts"].update_one({"transaction_id": unpaid}, {"$set": {"created_at": old}})
    await make_due(database, "checkouts")
    await sweepers[0].sweep_checkouts()
    assert await database["checkouts"].count_documents({"due_at": {"$exists": True}}) == 0


async def test_refunds_and_disputes_are_found(
    client: httpx.AsyncClient, sweepers: list[StripeSweeper], stripe: FakeStripe, database: Database, ada: str
) -> None:
    names = [await order(client, ada) for _ in range(4)]
    for name in names:
        pay(stripe, name)
    await make_due(database, "checkouts")
    await sweepers[0].sweep_checkouts()
    assert await balance(client, ada) == 500
    for name in names[:3]:
        stripe.refund(name.removeprefix("pi_"), 100)
    stripe.returned["refunds"] = [
        {"id": f"re_{n}", "payment_intent": name, "charge": name.replace("pi_", "ch_")} for n, name in enumerate(names)
    ] + [{"id": "re_foreign", "payment_intent": "pi_unknown00"}, {"id": "re_other"}]
    stripe.objects[names[3].replace("pi_", "ch_")]["disputed"] = True
    stripe.returned["disputes"] = [{"id": "dp_1", "charge": names[3].replace("pi_", "ch_"), "payment_intent": None}]
    await asyncio.gather(*(sweeper.sweep_refunds() for sweeper in sweepers))
    assert sum("starting_after" in asked for asked in stripe.asked) == 2  # one process, three pages
    assert await balance(client, ada) == 100
    await sweepers[1].sweep_disputes()
    assert await balance(client, ada) == 100
    stripe.asked.clear()
    await sweepers[2].sweep_refunds()
    assert stripe.asked == []  # not due


async def test_failed_look_begins_at_the_same_time_again(
    client: httpx.AsyncClient, sweepers: list[StripeSweeper], stripe: FakeStripe, database: Database, ada: str
) -> None:
    name = await order(client, ada)
    pay(stripe, name)
    await make_due(database, "checkouts")
    await sweepers[0].sweep_checkouts()
    stripe.refund(name.removeprefix("pi_"), 100)
    stripe.returned["refunds"] = [{"id": "re_1", "payment_intent": name}]
    page = httpx.Response(200, json={"data": stripe.returned["refunds"]})
    stripe.answers = [page, 500, 500, 500]
    await sweepers[0].sweep_refunds()
    assert await balance(client, ada) == 200
    first = stripe.asked[-4]
    stripe.answers = [500] * 3
    await make_due(database, "duties")
    with pytest.raises(PaymentProviderUnavailableError):
        await sweepers[2].sweep_refunds()
    await make_due(database, "duties")
    await sweepers[1].sweep_refunds()
    assert first in stripe.asked[-3:]
    assert await balance(client, ada) == 100


async def test_sweeper_runs_with_the_service(open_client: OpenClient, stripe: FakeStripe, ada: str) -> None:
    async with open_client(stripe_sweep_seconds=0.2) as client:
        pay(stripe, await order(client, ada))
        async with asyncio.timeout(20):
            while True:
                if await balance(client, ada) == 200:
                    return
                await asyncio.sleep(0.05)


async def test_more_refunds_than_one_question_has_time_for(database: Database, auth: FakeAuth) -> None:
    async def answer(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.15)
        pages.append(len(pages))
        return httpx.Response(200, json={"data": [{"id": f"re_{pages[-1]}"}], "has_more": len(pages) < 5})

    pages: list[int] = []
    transport = httpx.MockTransport(answer)
    async with open_vendor_client("https://stripe.test", timeout_seconds=5, transport=transport) as client:
        await sweeper_of(database, auth, client, total_seconds=0.5).sweep_refunds()
    duty = await DutyStore(database).find("stripe_refunds")
    assert duty is not None
    assert duty["result"]["until"] > utc_now() - timedelta(hours=2)
    assert len(pages) == 5
