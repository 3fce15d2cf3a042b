"""When the engine fails, filters or hangs, or the phone goes away: no coin lost, no picture lost."""

import asyncio
import time
from uuid import uuid4

import pytest

from journey.answers import Json, data, error, page
from journey.phone import Phone, fresh_payment
from journey.pictures import GENERATE, HISTORY, draw, has_nothing_spent
from journey.polling import until
from journey.sandbox import Sandbox

ALWAYS = 1000
"""More calls than any number of retries."""


@pytest.mark.parametrize(
    "behaviour",
    [
        {"status": 500},
        {"status": 429},
        {"status": 401},
        {"status": 404},
        {"status": 302},
        {"body": "<html>not Stability"},
        {"body": {"artifacts": []}},
        {"body": {"artifacts": [{"base64": "bm90IGEgcGljdHVyZQ==", "seed": 1, "finishReason": "SUCCESS"}]}},
        {"body": {"artifacts": [{"base64": "%%%", "seed": 1, "finishReason": "SUCCESS"}]}},
        {"dropAfterBytes": 1000},
    ],
    ids=["500", "429", "401", "404", "redirect", "html", "nothing", "no picture", "no base64", "dropped"],
)
async def test_a_failing_engine_costs_nothing(phone: Phone, sandbox: Sandbox, behaviour: Json) -> None:
    await sandbox.fault("stability", operation="text_to_image", times=ALWAYS, **behaviour)

    answer = await phone.post(GENERATE, {"prompt": "a fox"})

    assert answer.status_code in (502, 503, 504)
    assert error(answer, answer.status_code)["code"].startswith("provider_")
    await has_nothing_spent(phone)
    assert page(await phone.get(HISTORY), "images")[0] == []
    await sandbox.reset()
    assert (await draw(phone))["coinsUsed"] == 10


@pytest.mark.parametrize("word", ["garbage", "broken-picture", "failed", "error-503"])
async def test_a_picture_that_is_none_costs_nothing(phone: Phone, word: str) -> None:
    answer = await phone.post(GENERATE, {"prompt": f"a fox [sandbox:{word}]"})

    assert answer.status_code in (502, 503, 504)
    assert error(answer, answer.status_code)["code"].startswith("provider_")
    await has_nothing_spent(phone)


@pytest.mark.parametrize("word", ["moderated", "filtered"])
async def test_rejected_content_costs_nothing(phone: Phone, word: str) -> None:
    body = {"prompt": f"something unseemly [sandbox:{word}]", "samples": 2}

    error(await phone.post(GENERATE, body), 403, "content_rejected")

    await has_nothing_spent(phone)
    assert page(await phone.get(HISTORY), "images")[0] == []


async def test_only_the_pictures_that_came_are_paid(phone: Phone, sandbox: Sandbox) -> None:
    await sandbox.fault("stability", operation="text_to_image", filtered=2)

    content = await draw(phone, samples=3)

    assert (len(content["images"]), content["coinsUsed"], content["remainingCoins"]) == (1, 10, 90)
    assert await phone.balance() == 90
    assert [entry["amount"] for entry in await phone.transactions()] == [-10, 100]
    listed, _ = page(await phone.get(HISTORY), "images")
    assert [image["id"] for image in listed] == [content["images"][0]["id"]]


async def test_a_hanging_engine_is_given_up(phone: Phone, sandbox: Sandbox) -> None:
    await sandbox.fault("stability", operation="text_to_image", times=ALWAYS, hang=True)
    started = time.monotonic()

    answer = await phone.send("POST", GENERATE, json={"prompt": "a fox"}, timeout=130.0)

    assert time.monotonic() - started < 120
    assert answer.status_code in (503, 504)
    assert error(answer, answer.status_code)["code"].startswith("provider_")
    await has_nothing_spent(phone)


async def test_coins_are_held_while_the_engine_draws(phone: Phone, sandbox: Sandbox) -> None:
    prompt = f"slowly {uuid4().hex} [sandbox:slow-1500]"
    drawing = asyncio.create_task(draw(phone, prompt, samples=2))

    async def held() -> bool:
        return await phone.wallet() == (80, 20)

    await until(held, "20 coins are held")
    assert (await drawing)["coinsUsed"] == 20
    assert await phone.wallet() == (80, 0)


async def test_a_picture_is_finished_when_the_phone_hangs_up(phone: Phone, sandbox: Sandbox) -> None:
    key, mark = uuid4().hex, uuid4().hex
    body = {"prompt": f"a patient fox {mark} [sandbox:slow-2500]", "responseFormat": "url"}
    request = asyncio.create_task(phone.post(GENERATE, body, key=key))

    async def asked() -> bool:
        return len(await sandbox.calls("stability", containing=mark)) == 1

    await until(asked, "the engine was asked")
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request

    async def listed() -> bool:
        return bool(page(await phone.get(HISTORY), "images")[0])

    await until(listed, "the picture is in the history")
    assert await phone.balance() == 90
    again = await phone.post(GENERATE, body, key=key)
    assert again.headers["idempotent-replayed"] == "true"
    [image], _ = page(await phone.get(HISTORY), "images")
    assert [drawn["id"] for drawn in data(again)["images"]] == [image["id"]]
    assert await phone.balance() == 90
    assert await asked()


async def test_the_same_order_five_times_at_once_is_drawn_once(phone: Phone, sandbox: Sandbox) -> None:
    key, prompt = uuid4().hex, f"five foxes {uuid4().hex} [sandbox:slow-500]"
    body = {"prompt": prompt, "responseFormat": "url"}

    answers = await asyncio.gather(*(phone.post(GENERATE, body, key=key) for _ in range(5)))

    done = [answer for answer in answers if answer.status_code == 200]
    for answer in answers:
        if answer not in done:
            error(answer, 409, "request_in_progress")
            assert int(answer.headers["retry-after"]) >= 1
    assert len({data(answer)["generationId"] for answer in done}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in done) == 1
    assert await phone.balance() == 90
    assert len(await sandbox.calls("stability", containing=prompt.split(" [")[0])) == 1


async def test_a_repeated_order_gives_the_first_pictures_with_their_bytes(phone: Phone) -> None:
    key, body = uuid4().hex, {"prompt": "a fox", "seed": 7}
    first = await phone.post(GENERATE, body, key=key)

    again = await phone.post(GENERATE, body, key=key)

    assert data(again) == data(first)
    assert again.headers["idempotent-replayed"] == "true"
    error(await phone.post(GENERATE, {**body, "seed": 8}, key=key), 422, "idempotency_key_reused")
    assert await phone.balance() == 90


async def test_an_order_that_was_refused_may_be_corrected_under_its_key(phone: Phone) -> None:
    poor, unseemly = uuid4().hex, uuid4().hex
    data(await phone.post("/api/coin/deduct", {"amount": 75}))
    order = {"prompt": "five foxes", "samples": 5, "responseFormat": "url"}

    refused = error(await phone.post(GENERATE, order, key=poor), 402, "insufficient_coins")
    assert refused["details"] == {"required": 50, "balance": 25, "affordable": {"samples": 2}}
    rejected = {"prompt": "a fox [sandbox:moderated]", "responseFormat": "url"}
    error(await phone.post(GENERATE, rejected, key=unseemly), 403, "content_rejected")

    assert data(await phone.post(GENERATE, {**order, "samples": 1}, key=poor))["remainingCoins"] == 15
    assert data(await phone.post(GENERATE, {**rejected, "prompt": "a fox"}, key=unseemly))["remainingCoins"] == 5
    assert await phone.balance() == 5


async def test_after_coins_were_bought_the_same_order_is_drawn_under_its_key(phone: Phone) -> None:
    key, order = uuid4().hex, {"prompt": "a fox", "responseFormat": "url"}
    data(await phone.post("/api/coin/deduct", {"amount": 100}))
    error(await phone.post(GENERATE, order, key=key), 402, "insufficient_coins")
    payment = {"amount": 100, "paymentMethod": "stripe", "transactionId": fresh_payment()}
    data(await phone.post("/api/coin/buy", payment))

    assert data(await phone.post(GENERATE, order, key=key))["remainingCoins"] == 90


async def test_after_a_failure_the_same_key_may_try_again(phone: Phone, sandbox: Sandbox) -> None:
    key, body = uuid4().hex, {"prompt": "a fox", "responseFormat": "url"}
    await sandbox.fault("stability", operation="text_to_image", times=ALWAYS, status=500)
    refused = await phone.post(GENERATE, body, key=key)
    assert refused.status_code in (502, 503)

    await sandbox.reset()
    answer = await phone.post(GENERATE, body, key=key)

    # The first answer again, or a second try: both keep the promise that a key moves coins at most once.
    if answer.status_code == 200:
        assert (data(answer)["coinsUsed"], await phone.balance()) == (10, 90)
    else:
        assert error(answer, refused.status_code)["code"] == error(refused, refused.status_code)["code"]
        await has_nothing_spent(phone)
