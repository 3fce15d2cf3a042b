"""AdMob's callbacks and the app's own claims: one ad pays once, whoever tells of it first."""

import asyncio
import time
from typing import Any

import httpx
import pytest

from coin_service.ads import OPEN_SECONDS
from coin_service.inbox import InboxStore
from coin_service.testing.admob import FakeAdMob
from coin_service.testing.client import OpenClient
from common.mongo import Database, new_id
from common.testing import user_headers
from common.testing.auth import FakeAuth

PATH = "/api/coin/rewards/admob"
UNIT = "2747237135"
CLAIM = {"amount": 10, "source": "ad_watch"}
WITHOUT_PAUSE = {"ad_watch": {"max_amount": 10, "cooldown_seconds": 0, "daily_limit": 100}}


def fields(**changes: str | None) -> str:
    """What is signed; ``None`` leaves a field out."""
    values: dict[str, str | None] = {
        "ad_network": "5450213213286189855",
        "ad_unit": UNIT,
        "reward_amount": "10",
        "reward_item": "a few coins",
        "timestamp": str(time.time_ns() // 1_000_000),
        "transaction_id": new_id(),
        **changes,
    }
    return "&".join(f"{name}={value}" for name, value in sorted(values.items()) if value is not None)


async def call(client: httpx.AsyncClient, query: bytes) -> httpx.Response:
    return await client.get(f"{PATH}?{query.decode()}")


async def told(client: httpx.AsyncClient, admob: FakeAdMob, **changes: str | None) -> bool:
    """Send a genuine callback; return whether it was a duplicate."""
    response = await call(client, admob.sign(fields(**changes)))
    assert response.status_code == 200, response.text
    duplicate: bool = response.json()["data"]["duplicate"]
    return duplicate


async def claim(client: httpx.AsyncClient, user_id: str, *, key: str | None = None) -> httpx.Response:
    headers = user_headers(user_id) | ({"Idempotency-Key": key} if key else {})
    return await client.post("/api/coin/earn", json=CLAIM, headers=headers)


async def balance(client: httpx.AsyncClient, user_id: str) -> int:
    response = await client.get("/api/coin/balance", headers=user_headers(user_id))
    coins: int = response.json()["data"]["balance"]
    return coins


async def lines(client: httpx.AsyncClient, user_id: str) -> list[dict[str, Any]]:
    response = await client.get("/api/coin/transactions?type=earn", headers=user_headers(user_id))
    listed: list[dict[str, Any]] = response.json()["data"]["transactions"]
    return listed


async def outcome(database: Database, transaction_id: str) -> str | None:
    message = await InboxStore(database).find(f"admob:{transaction_id}")
    assert message is not None
    assert message.state == "done"
    return message.outcome


async def test_a_callback_credits_once_however_often_it_comes(
    client: httpx.AsyncClient, admob: FakeAdMob, database: Database, ada: str
) -> None:
    query = admob.sign(fields(user_id=ada, transaction_id="18fa792de1bca816048293fc71035638"))

    answers = [await call(client, query), *await asyncio.gather(*(call(client, query) for _ in range(5)))]

    assert [answer.status_code for answer in answers] == [200] * 6
    assert [answer.json()["data"]["duplicate"] for answer in answers] == [False, *[True] * 5]
    (line,) = await lines(client, ada)
    assert (line["amount"], line["source"], line["transactionId"]) == (
        10,
        "ad_watch",
        "18fa792de1bca816048293fc71035638",
    )
    assert await balance(client, ada) == 110
    assert await outcome(database, "18fa792de1bca816048293fc71035638") == "credited"


async def test_after_the_callback_the_apps_claim_is_answered_with_its_entry(
    client: httpx.AsyncClient, admob: FakeAdMob, ada: str
) -> None:
    await told(client, admob, user_id=ada, reward_amount="7")
    (line,) = await lines(client, ada)

    first, again = await claim(client, ada, key="k1"), await claim(client, ada, key="k1")

    assert first.json()["data"] == {"transaction": line, "balance": 107, "remainingToday": 93}
    assert again.json() == first.json()
    assert ("idempotent-replayed" in first.headers, again.headers["idempotent-replayed"]) == (False, "true")
    assert (await claim(client, ada)).status_code == 429  # that ad is settled; the next one has to wait
    assert await balance(client, ada) == 107


async def test_after_the_apps_claim_the_callback_credits_no_more(
    client: httpx.AsyncClient, admob: FakeAdMob, database: Database, ada: str
) -> None:
    assert (await claim(client, ada)).status_code == 200

    await told(client, admob, user_id=ada, transaction_id="t1")

    assert await balance(client, ada) == 110
    assert await outcome(database, "t1") == "credited_before"
    await told(client, admob, user_id=ada, transaction_id="t2")  # another ad
    assert await balance(client, ada) == 120


async def test_both_at_once_pay_once(open_client: OpenClient, admob: FakeAdMob, ada: str) -> None:
    async with open_client(earn_rules=WITHOUT_PAUSE) as client:
        for round_ in range(1, 6):
            await asyncio.gather(claim(client, ada), told(client, admob, user_id=ada))
            assert await balance(client, ada) == 100 + 10 * round_


async def test_the_days_limit_counts_for_both(
    open_client: OpenClient, admob: FakeAdMob, database: Database, ada: str
) -> None:
    rules = {"ad_watch": {"max_amount": 10, "cooldown_seconds": 30, "daily_limit": 25}}
    async with open_client(earn_rules=rules) as client:
        for number in range(3):  # the callback needs no pause: Google saw each of these ads
            await told(client, admob, user_id=ada, transaction_id=f"t{number}")
        assert await balance(client, ada) == 120
        assert await outcome(database, "t2") == "daily_limit"
        for remaining in (5, 5):  # what the callbacks paid
            assert (await claim(client, ada)).json()["data"]["remainingToday"] == remaining
        refused = await claim(client, ada)
        assert (refused.status_code, refused.json()["details"]["limit"]) == (429, "daily_limit")


async def test_the_rules_amount_counts_not_admobs(client: httpx.AsyncClient, admob: FakeAdMob, ada: str) -> None:
    await told(client, admob, user_id=ada, reward_amount="1000000")

    assert await balance(client, ada) == 110


def milliseconds_ago(seconds: float) -> str:
    return str(int((time.time() - seconds) * 1000))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"user_id": None}, "no_user"),
        ({"user_id": ""}, "no_user"),
        ({"user_id": "1234567"}, "unknown_user"),
        ({"user_id": "0" * 24}, "unknown_user"),
        ({"user_id": "$ne"}, "unknown_user"),
        ({"reward_amount": "0"}, "no_amount"),
        ({"reward_amount": None}, "no_amount"),
        ({"timestamp": None}, "no_time"),
        ({"timestamp": milliseconds_ago(OPEN_SECONDS + 60)}, "stale"),
        ({"timestamp": milliseconds_ago(-3600)}, "stale"),
        ({"ad_unit": "6666666666"}, "foreign_ad_unit"),
        ({"ad_unit": None}, "foreign_ad_unit"),
    ],
)
async def test_what_the_rules_refuse_is_answered_200_and_its_reason_kept(
    open_client: OpenClient,
    admob: FakeAdMob,
    database: Database,
    ada: str,
    changes: dict[str, str | None],
    reason: str,
) -> None:
    async with open_client(admob_ad_units=f"ca-app-pub-3940256099942544/{UNIT},999") as client:
        assert await told(client, admob, **{"user_id": ada, "transaction_id": "t1", **changes}) is False

        assert await outcome(database, "t1") == reason
        assert await balance(client, ada) == 100
        await told(client, admob, user_id=ada)
        assert await balance(client, ada) == 110


async def test_without_a_rule_for_ads_none_pays(
    open_client: OpenClient, admob: FakeAdMob, database: Database, ada: str
) -> None:
    async with open_client(earn_rules={"survey": WITHOUT_PAUSE["ad_watch"]}) as client:
        await told(client, admob, user_id=ada, transaction_id="t1")
        assert await outcome(database, "t1") == "no_rule"


async def test_the_consoles_trial_call_is_answered_200(client: httpx.AsyncClient, admob: FakeAdMob) -> None:
    await told(client, admob, transaction_id=None)


async def test_a_forged_callback_is_refused(client: httpx.AsyncClient, admob: FakeAdMob, ada: str) -> None:
    genuine = admob.sign(fields(user_id=ada, reward_amount="1"))
    for query in (genuine.replace(b"reward_amount=1", b"reward_amount=9"), b"", b"user_id=" + ada.encode()):
        response = await call(client, query)
        assert (response.status_code, response.json()["code"]) == (400, "invalid_signature")
    assert await balance(client, ada) == 100
    assert (await call(client, genuine)).status_code == 200
    for method in ("HEAD", "POST", "PUT"):
        assert (await client.request(method, f"{PATH}?{genuine.decode()}")).status_code == 405
    assert await balance(client, ada) == 101


async def test_without_keys_nothing_is_credited_and_google_is_asked_to_repeat(
    client: httpx.AsyncClient, admob: FakeAdMob, ada: str
) -> None:
    admob.answers = [500]
    response = await call(client, admob.sign(fields(user_id=ada)))

    assert (response.status_code, response.json()["code"]) == (503, "verification_unavailable")
    assert "vendor" not in response.text
    assert await balance(client, ada) == 100


async def test_callbacks_alone_count_where_they_are_required(
    open_client: OpenClient, admob: FakeAdMob, ada: str
) -> None:
    rules = {**WITHOUT_PAUSE, "survey": WITHOUT_PAUSE["ad_watch"]}
    async with open_client(admob_ssv_required=True, earn_rules=rules) as client:
        for _ in range(2):
            refused = await claim(client, ada)
            assert (refused.status_code, refused.json()["code"]) == (403, "verification_required")
            await told(client, admob, user_id=ada)
        assert await balance(client, ada) == 120
        survey = await client.post("/api/coin/earn", json={"amount": 5, "source": "survey"}, headers=user_headers(ada))
        assert survey.status_code == 200


async def test_a_callback_that_cannot_be_settled_now_is_settled_later(
    client: httpx.AsyncClient, admob: FakeAdMob, auth: FakeAuth, ada: str
) -> None:
    auth.away = True  # whether there is such a user cannot be known
    assert await told(client, admob, user_id=ada, transaction_id="t1") is False
    auth.away = False

    deadline = time.monotonic() + 30
    while await balance(client, ada) != 110:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
    assert await told(client, admob, user_id=ada, transaction_id="t1") is True
