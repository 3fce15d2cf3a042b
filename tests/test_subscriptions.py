"""Subscriptions as Google Play has them, and what they are good for."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from journey.answers import TIMESTAMP, Json, data, error
from journey.phone import NewPhone, Phone, fresh_purchase
from journey.pictures import draw
from journey.polling import until
from journey.sandbox import Sandbox

VERIFY = "/api/subscription/verify"
STATUS = "/api/subscription/status"
KEYS = {
    *("status", "isActive", "productId", "planName", "expiresAt", "autoRenewing", "inGracePeriod", "testPurchase"),
    "manageUrl",
}


def purchase(token: str) -> Json:
    return {"purchaseToken": token, "productId": "pro_monthly", "packageName": "com.example.app"}


def in_seconds(seconds: float) -> str:
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def verified(phone: Phone, token: str) -> Json:
    content = data(await phone.post(VERIFY, purchase(token)))
    assert content.keys() == {"subscription"}
    subscription: Json = content["subscription"]
    assert subscription.keys() == KEYS
    return subscription


async def status(phone: Phone) -> Json:
    subscription: Json = data(await phone.get(STATUS))["subscription"]
    assert subscription.keys() == KEYS
    return subscription


async def test_without_a_purchase_there_is_none(phone: Phone) -> None:
    subscription = await status(phone)

    assert (subscription["status"], subscription["isActive"]) == ("none", False)
    assert (subscription["productId"], subscription["expiresAt"]) == (None, None)


async def test_a_verified_purchase_is_an_active_subscription(phone: Phone) -> None:
    subscription = await verified(phone, fresh_purchase())

    assert (subscription["status"], subscription["isActive"], subscription["autoRenewing"]) == ("active", True, True)
    assert (subscription["productId"], subscription["inGracePeriod"]) == ("pro_monthly", False)
    assert TIMESTAMP.fullmatch(subscription["expiresAt"])
    assert subscription["expiresAt"] > in_seconds(86_400)
    assert await status(phone) == subscription


async def test_a_purchase_is_acknowledged_once_however_often_it_is_verified(phone: Phone, sandbox: Sandbox) -> None:
    token = fresh_purchase()

    first, *others = [await verified(phone, token) for _ in range(3)]

    assert all(other == first for other in others)
    calls = await sandbox.calls("google_play", containing=token)
    assert sum(call["operation"] == "subscriptions.acknowledge" for call in calls) == 1


@pytest.mark.parametrize(
    ("story", "state", "is_active"),
    [
        ("pending", "pending", False),
        ("grace", "grace_period", True),
        ("on-hold", "on_hold", False),
        ("paused", "paused", False),
        ("canceled", "canceled", True),
    ],
)
async def test_every_state_of_google_play_is_told(phone: Phone, story: str, state: str, is_active: bool) -> None:
    subscription = await verified(phone, fresh_purchase(story))

    assert (subscription["status"], subscription["isActive"]) == (state, is_active)
    assert subscription["inGracePeriod"] == (state == "grace_period")
    assert await status(phone) == subscription


@pytest.mark.parametrize("story", ["expired", "expired-long-ago", "gone", "unavailable"])
async def test_a_purchase_that_is_over_gives_nothing(phone: Phone, story: str) -> None:
    error(await phone.post(VERIFY, purchase(fresh_purchase(story))), 410, "purchase_expired")

    assert not (await status(phone))["isActive"]


async def test_a_pending_purchase_is_not_acknowledged(phone: Phone, sandbox: Sandbox) -> None:
    token = fresh_purchase("pending")

    await verified(phone, token)

    calls = await sandbox.calls("google_play", containing=token)
    assert {call["operation"] for call in calls} == {"subscriptionsv2.get"}


@pytest.mark.parametrize(
    ("story", "codes"),
    [
        ("not-found", {(404, "purchase_not_found")}),
        ("invalid", {(404, "purchase_not_found")}),
        ("unauthorized", {(502, "google_play_unavailable"), (503, "google_play_unavailable")}),
        ("forbidden", {(502, "google_play_unavailable"), (503, "google_play_unavailable")}),
        ("rate-limited", {(502, "google_play_unavailable"), (503, "google_play_unavailable")}),
        ("error-500", {(502, "google_play_unavailable"), (503, "google_play_unavailable")}),
        ("error-503", {(502, "google_play_unavailable"), (503, "google_play_unavailable")}),
    ],
)
async def test_googles_refusals_are_told_apart(phone: Phone, story: str, codes: set[tuple[int, str]]) -> None:
    answer = await phone.post(VERIFY, purchase(fresh_purchase(story)))

    assert (answer.status_code, error(answer, answer.status_code)["code"]) in codes
    assert (await status(phone))["status"] == "none"


async def test_another_apps_purchase_is_refused(phone: Phone) -> None:
    body = {**purchase(fresh_purchase()), "packageName": "com.somebody.else"}

    error(await phone.post(VERIFY, body), 422, "package_not_allowed")


async def test_another_product_than_said_is_refused(phone: Phone) -> None:
    token = f"pro_yearly~{fresh_purchase()}"

    error(await phone.post(VERIFY, purchase(token)), 422, "product_mismatch")

    assert (await status(phone))["status"] == "none"


async def test_a_purchase_belongs_to_one_account(new_phone: NewPhone) -> None:
    ada, bob = await new_phone(), await new_phone()
    token = fresh_purchase()

    answers = await asyncio.gather(*(phone.post(VERIFY, purchase(token)) for phone in (ada, bob, ada, bob)))

    assert sorted(answer.status_code for answer in answers) == [200, 200, 409, 409]
    for answer in answers:
        if answer.status_code == 409:
            error(answer, 409, "purchase_already_linked")
    states = sorted([(await status(ada))["status"], (await status(bob))["status"]])
    assert states == ["active", "none"]


async def test_a_purchase_that_google_knows_as_somebody_elses_is_refused(new_phone: NewPhone, sandbox: Sandbox) -> None:
    ada, bob = await new_phone(), await new_phone()
    token = fresh_purchase()
    await sandbox.put_purchase(token, productId="pro_monthly", accountId=ada.account.id)

    error(await bob.post(VERIFY, purchase(token)), 409, "purchase_already_linked")

    assert (await verified(ada, token))["isActive"]


async def test_an_upgrade_takes_the_place_of_what_it_continues(new_phone: NewPhone, sandbox: Sandbox) -> None:
    ada, bob = await new_phone(), await new_phone()
    old, new = fresh_purchase(), fresh_purchase()
    await verified(ada, old)
    await sandbox.put_purchase(new, productId="pro_monthly", linkedPurchaseToken=old)

    upgraded = await verified(ada, new)

    assert upgraded["isActive"]
    error(await bob.post(VERIFY, purchase(new)), 409, "purchase_already_linked")
    assert (await status(ada))["expiresAt"] == upgraded["expiresAt"]


@pytest.mark.parametrize("coins_spent", [0, 100])
async def test_a_subscription_makes_pictures_free(phone: Phone, coins_spent: int) -> None:
    await verified(phone, fresh_purchase())
    if coins_spent:
        data(await phone.post("/api/coin/deduct", {"amount": coins_spent}))

    content = await draw(phone)

    assert (content["coinsUsed"], content["remainingCoins"]) == (0, 100 - coins_spent)
    assert await phone.balance() == 100 - coins_spent
    assert "generate" not in {entry["type"] for entry in await phone.transactions()}


async def test_a_subscription_on_hold_covers_nothing(phone: Phone) -> None:
    await verified(phone, fresh_purchase("on-hold"))

    assert (await draw(phone))["coinsUsed"] == 10


async def test_a_renewal_is_seen_by_itself(phone: Phone, sandbox: Sandbox) -> None:
    token = fresh_purchase()
    await sandbox.put_purchase(token, productId="pro_monthly", expiryTime=in_seconds(3), acknowledged=True)
    first = await verified(phone, token)
    assert first["expiresAt"] < in_seconds(60)

    async def renewed() -> bool:
        subscription = await status(phone)
        return bool(subscription["isActive"] and subscription["expiresAt"] > in_seconds(86_400))

    await until(renewed, "the renewal shows")
    assert (await draw(phone))["coinsUsed"] == 0


async def test_the_end_is_seen_by_itself(phone: Phone, sandbox: Sandbox) -> None:
    token = fresh_purchase()
    await sandbox.put_purchase(
        token, productId="pro_monthly", state="canceled", expiryTime=in_seconds(3), acknowledged=True
    )
    first = await verified(phone, token)
    assert (first["status"], first["isActive"]) == ("canceled", True)

    async def ended() -> bool:
        subscription = await status(phone)
        return (subscription["status"], subscription["isActive"]) == ("expired", False)

    await until(ended, "the subscription has expired")
    assert (await draw(phone))["coinsUsed"] == 10


async def test_verifying_again_asks_google_again(phone: Phone, sandbox: Sandbox) -> None:
    token = fresh_purchase()
    first = await verified(phone, token)

    await sandbox.advance_clock(days=31)

    assert (await verified(phone, token))["expiresAt"] > first["expiresAt"]


@pytest.mark.parametrize(
    "behaviour", [{"status": 500}, {"body": "<html>"}, {"body": {}}, {"dropAfterBytes": 5}, {"status": 401}]
)
async def test_while_google_is_down_access_stays(phone: Phone, sandbox: Sandbox, behaviour: Json) -> None:
    token = fresh_purchase()
    await sandbox.put_purchase(token, productId="pro_monthly", expiryTime=in_seconds(2.5), acknowledged=True)
    first = await verified(phone, token)
    await sandbox.fault("google_play", times=1000, **behaviour)

    async def expired() -> bool:
        return bool(in_seconds(0) > first["expiresAt"])

    await until(expired, "the expiry has passed")
    assert (await status(phone))["isActive"]
    answer = await phone.post(VERIFY, purchase(token))
    error(answer, answer.status_code, "google_play_unavailable")
    assert answer.status_code in (502, 503)
    assert (await status(phone))["isActive"]
