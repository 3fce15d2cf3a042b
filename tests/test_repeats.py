"""Idempotency keys: whatever is sent twice moves coins once."""

import asyncio
from uuid import uuid4

import httpx
import pytest

from journey.answers import Json, data, error
from journey.phone import NewPhone, Phone, fresh_payment

DEDUCT = "/api/coin/deduct"


def body_of(path: str) -> Json:
    return {
        DEDUCT: {"amount": 5, "reason": "a filter"},
        "/api/coin/earn": {"amount": 10, "source": "ad_watch"},
        "/api/coin/buy": {"amount": 100, "paymentMethod": "stripe", "transactionId": fresh_payment()},
    }[path]


def is_replay(answer: httpx.Response) -> bool:
    return bool(answer.headers.get("idempotent-replayed") == "true")


@pytest.mark.parametrize("path", [DEDUCT, "/api/coin/earn", "/api/coin/buy"])
async def test_the_same_key_and_body_get_the_first_answer_again(phone: Phone, path: str) -> None:
    key, body = uuid4().hex, body_of(path)
    first = await phone.post(path, body, key=key)
    balance = await phone.balance()

    second = await phone.post(path, body, key=key)

    assert data(second) == data(first)
    assert (is_replay(first), is_replay(second)) == (False, True)
    assert await phone.balance() == balance == data(first)["balance"]
    assert len(await phone.transactions()) == 2


@pytest.mark.parametrize("path", [DEDUCT, "/api/coin/earn", "/api/coin/buy"])
async def test_the_same_key_ten_times_at_once_moves_coins_once(phone: Phone, path: str) -> None:
    key, body = uuid4().hex, body_of(path)

    answers = await asyncio.gather(*(phone.post(path, body, key=key) for _ in range(10)))

    done = [answer for answer in answers if answer.status_code == 200]
    for answer in answers:
        if answer not in done:
            error(answer, 409, "request_in_progress")
            assert int(answer.headers["retry-after"]) >= 1
    assert len({data(answer)["transaction"]["id"] for answer in done}) == 1
    assert sum(not is_replay(answer) for answer in done) == 1
    assert len(await phone.transactions()) == 2


async def test_the_first_answer_stays_when_the_balance_has_moved_on(phone: Phone) -> None:
    key = uuid4().hex
    first = data(await phone.post(DEDUCT, {"amount": 5}, key=key))
    data(await phone.post(DEDUCT, {"amount": 90}))

    assert data(await phone.post(DEDUCT, {"amount": 5}, key=key)) == first
    assert await phone.balance() == 5


async def test_the_body_may_carry_the_key(phone: Phone) -> None:
    key = uuid4().hex
    first = await phone.post(DEDUCT, {"amount": 5, "idempotencyKey": key})

    second = await phone.post(DEDUCT, {"amount": 5, "idempotencyKey": key})
    by_header = await phone.post(DEDUCT, {"amount": 5}, key=key)

    assert data(first) == data(second) == data(by_header)
    assert is_replay(second)
    assert is_replay(by_header)
    assert await phone.balance() == 95


@pytest.mark.parametrize("other", [{"amount": 6}, {"amount": 5, "reason": "another"}])
async def test_the_same_key_for_something_else_is_refused(phone: Phone, other: Json) -> None:
    key = uuid4().hex
    data(await phone.post(DEDUCT, {"amount": 5}, key=key))

    error(await phone.post(DEDUCT, other, key=key), 422, "idempotency_key_reused")

    assert await phone.balance() == 95


async def test_a_key_of_another_operation_moves_nothing_twice(phone: Phone) -> None:
    key = uuid4().hex
    data(await phone.post(DEDUCT, {"amount": 5}, key=key))

    answer = await phone.post("/api/coin/earn", {"amount": 5, "source": "ad_watch"}, key=key)

    error(answer, 422, "idempotency_key_reused")
    assert await phone.balance() == 95


async def test_another_users_key_is_another_key(new_phone: NewPhone) -> None:
    ada, bob = await new_phone(), await new_phone()
    key = uuid4().hex

    answers = [await phone.post(DEDUCT, {"amount": 5}, key=key) for phone in (ada, bob)]

    assert not any(is_replay(answer) for answer in answers)
    assert [await ada.balance(), await bob.balance()] == [95, 95]


async def test_a_refused_request_may_be_corrected_under_its_key(phone: Phone) -> None:
    key = uuid4().hex
    error(await phone.post(DEDUCT, {"amount": 500}, key=key), 402, "insufficient_coins")
    error(await phone.post(DEDUCT, {"amount": -1}, key=key), 422, "validation_failed")

    corrected = await phone.post(DEDUCT, {"amount": 50}, key=key)

    assert data(corrected)["balance"] == 50
    assert not is_replay(corrected)


async def test_without_a_key_every_request_counts(phone: Phone) -> None:
    for _ in range(2):
        data(await phone.post(DEDUCT, {"amount": 5}))

    assert await phone.balance() == 90


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "caf\xe9", "tab\there"])
@pytest.mark.parametrize("path", [DEDUCT, "/api/image/generate"])
async def test_a_key_that_is_none_is_refused(phone: Phone, path: str, key: str) -> None:
    body = {"amount": 5, "prompt": "a fox"}
    answer = await phone.send("POST", path, json=body, headers={"Idempotency-Key": key.encode("latin-1")})

    error(answer, 422, "validation_failed")
    assert await phone.balance() == 100


async def test_a_key_may_be_255_characters_of_any_visible_kind(phone: Phone) -> None:
    key = ("!~{}$.<>" + uuid4().hex * 8)[:255]

    for _ in range(2):
        data(await phone.post(DEDUCT, {"amount": 5}, key=key))

    assert await phone.balance() == 95
