"""Coins for ads: the app says that one was watched, AdMob says so too, and it pays once."""

import asyncio
from uuid import uuid4

import pytest

from journey.answers import Json, data, error
from journey.phone import Caller, NewPhone, Phone
from journey.polling import until
from journey.sandbox import Sandbox

EARN = "/api/coin/earn"
CALLBACK = "/api/coin/rewards/admob"
AD: Json = {"amount": 10, "source": "ad_watch"}


async def watched(sandbox: Sandbox, phone: Phone, **order: object) -> int:
    """Have AdMob call back; return the status that it was answered."""
    answer = await sandbox.reward(**{"userId": phone.account.id, "amount": 10, "transactionId": uuid4().hex, **order})
    status: int = answer["status"]
    return status


async def test_a_callback_credits_the_ad(phone: Phone, sandbox: Sandbox) -> None:
    transaction_id = uuid4().hex

    assert await watched(sandbox, phone, transactionId=transaction_id, customData="a b&c=ü", rewardItem="10 % ½") == 200

    assert await phone.balance() == 110
    line = (await phone.transactions())[0]
    assert (line["type"], line["amount"], line["source"]) == ("earn", 10, "ad_watch")
    assert line["transactionId"] == transaction_id


async def test_the_callback_before_the_apps_call_pays_once(phone: Phone, sandbox: Sandbox) -> None:
    await watched(sandbox, phone)

    content = data(await phone.post(EARN, AD))

    assert (content["balance"], content["remainingToday"]) == (110, 90)
    assert content["transaction"] == (await phone.transactions())[0]
    assert await phone.balance() == 110


async def test_the_callback_after_the_apps_call_pays_once(phone: Phone, sandbox: Sandbox) -> None:
    data(await phone.post(EARN, AD))

    assert await watched(sandbox, phone) == 200

    assert await phone.balance() == 110
    assert await watched(sandbox, phone) == 200  # the next ad
    assert await phone.balance() == 120


async def test_the_callback_and_the_apps_call_at_once_pay_once(phone: Phone, sandbox: Sandbox) -> None:
    answer, status = await asyncio.gather(phone.post(EARN, AD), watched(sandbox, phone))

    assert (answer.status_code, status) == (200, 200)
    assert await phone.balance() == 110


async def test_the_same_callback_again_pays_nothing(phone: Phone, sandbox: Sandbox) -> None:
    order = {"userId": phone.account.id, "amount": 10, "transactionId": uuid4().hex}

    first = await sandbox.reward(**order, duplicate=True)
    again = await sandbox.reward(**order)

    assert (first["statuses"], again["status"]) == ([200, 200], 200)
    assert await phone.balance() == 110


async def test_a_forged_callback_pays_nothing(phone: Phone, guest: Caller, sandbox: Sandbox) -> None:
    assert await watched(sandbox, phone, forged=True) == 400

    user = f"user_id={phone.account.id}&reward_amount=10&transaction_id={uuid4().hex}"
    for query in ("", user, f"{user}&signature=AAAA&key_id=1", f"{user}&signature=AAAA&key_id={'9' * 400}"):
        error(await guest.get(f"{CALLBACK}?{query}"), 400, "invalid_signature")
    error(await guest.post(f"{CALLBACK}?{user}"), 405)
    assert await phone.balance() == 100


@pytest.mark.parametrize(
    "order",
    [{"userId": "0" * 24}, {"userId": "bob"}, {"userId": None}, {"ageSeconds": 7200}, {"amount": 0}],
    ids=["unknown user", "no id", "no user", "stale", "nothing"],
)
async def test_what_the_rules_refuse_is_answered_200_and_pays_nothing(
    phone: Phone, sandbox: Sandbox, order: Json
) -> None:
    assert await watched(sandbox, phone, **order) == 200

    assert await phone.balance() == 100


async def test_a_day_of_ads_ends_at_its_limit(phone: Phone, sandbox: Sandbox) -> None:
    statuses = [await watched(sandbox, phone, amount=1_000_000) for _ in range(12)]

    assert statuses == [200] * 12
    assert await phone.balance() == 200


async def test_everybody_is_paid_their_own_ads(new_phone: NewPhone, sandbox: Sandbox) -> None:
    ada, bob = await new_phone(), await new_phone()
    await watched(sandbox, ada)

    data(await bob.post(EARN, AD))

    assert [await ada.balance(), await bob.balance()] == [110, 110]
    assert (await bob.transactions())[0]["transactionId"] is None


async def test_while_the_key_server_is_away_known_keys_count_and_unknown_ones_wait(
    phone: Phone, guest: Caller, sandbox: Sandbox
) -> None:
    await watched(sandbox, phone)
    await sandbox.fault("admob", status=500, times=100)

    async def unknown() -> bool:
        answer = await guest.get(f"{CALLBACK}?user_id={phone.account.id}&signature=AAAA&key_id=1")
        return answer.status_code == 503

    await until(unknown, "whether there is such a key cannot be known")
    assert await watched(sandbox, phone) == 200
    assert await phone.balance() == 120
