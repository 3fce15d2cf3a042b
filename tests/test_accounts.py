"""Registering and signing in."""

import asyncio
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from typing import Literal
from uuid import uuid4

import pytest

from journey.answers import Json, data, error
from journey.phone import PASSWORD, Caller, NewPhone, Phone, fresh_email
from journey.tokens import claims_of, header_of

REGISTER = "/api/auth/register"
LOGIN = "/api/auth/login"
THIRTY_DAYS = 30 * 86_400


PAIR_KEYS = {"token", "refreshToken", "tokenType", "expiresIn"}


def check_pair(pair: Json, *, user_id: str, email: str) -> None:
    """Check the tokens that registering, signing in and refreshing all answer."""
    assert pair["tokenType"] == "Bearer"
    claims = claims_of(pair["token"])
    assert claims.keys() >= {"sub", "iss", "aud", "iat", "exp", "jti", "sid", "email"}
    assert (claims["sub"], claims["email"]) == (user_id, email)
    assert claims["exp"] - claims["iat"] == pair["expiresIn"] == THIRTY_DAYS
    assert header_of(pair["token"])["alg"] == "HS256"


def check_session(session: Json) -> None:
    """Check what registering and signing in both answer."""
    assert session.keys() == PAIR_KEYS | {"user"}
    assert session["user"].keys() == {"id", "email", "name", "emailVerified", "createdAt"}
    check_pair(session, user_id=session["user"]["id"], email=session["user"]["email"])


async def test_registering_answers_a_session(guest: Caller) -> None:
    email = fresh_email()

    session = data(await guest.post(REGISTER, {"email": email, "password": PASSWORD, "name": "Ada"}), 201)

    check_session(session)
    assert (session["user"]["email"], session["user"]["name"]) == (email, "Ada")
    assert session["user"]["emailVerified"] is False


async def test_a_name_is_not_asked_for(guest: Caller) -> None:
    session = data(await guest.post(REGISTER, {"email": fresh_email(), "password": PASSWORD}), 201)

    assert session["user"]["name"] is None


async def test_signing_in_answers_a_session_of_its_own(phone: Phone, guest: Caller) -> None:
    body = {"email": phone.account.email, "password": PASSWORD}

    first, second = [data(await guest.post(LOGIN, body)) for _ in range(2)]

    check_session(first)
    assert first["user"]["id"] == phone.account.id
    assert first["token"] != second["token"]
    assert first["refreshToken"] != second["refreshToken"]


async def test_a_wrong_password_and_an_unknown_address_look_alike(phone: Phone, guest: Caller) -> None:
    wrong = error(
        await guest.post(LOGIN, {"email": phone.account.email, "password": "not this one"}), 401, "invalid_credentials"
    )
    unknown = error(
        await guest.post(LOGIN, {"email": fresh_email(), "password": "not this one"}), 401, "invalid_credentials"
    )

    assert {**wrong, "requestId": ""} == {**unknown, "requestId": ""}


@pytest.mark.parametrize("spelling", [str.upper, str.title, lambda email: f"  {email}\t"])
async def test_an_address_is_the_same_in_any_case_and_with_blanks(
    phone: Phone, guest: Caller, spelling: Callable[[str], str]
) -> None:
    email = spelling(phone.account.email)

    error(await guest.post(REGISTER, {"email": email, "password": PASSWORD}), 409, "email_taken")
    session = data(await guest.post(LOGIN, {"email": email, "password": PASSWORD}))

    assert session["user"]["id"] == phone.account.id


@pytest.mark.parametrize("form", ["NFC", "NFD"])
async def test_an_address_is_the_same_in_any_unicode_form(guest: Caller, form: Literal["NFC", "NFD"]) -> None:
    email = f"zoë.{uuid4().hex}@example.com"
    registered = unicodedata.normalize("NFD" if form == "NFC" else "NFC", email)
    session = data(await guest.post(REGISTER, {"email": registered, "password": PASSWORD}), 201)

    other = unicodedata.normalize(form, email).upper()
    error(await guest.post(REGISTER, {"email": other, "password": PASSWORD}), 409, "email_taken")

    again = data(await guest.post(LOGIN, {"email": other, "password": PASSWORD}))
    assert again["user"]["id"] == session["user"]["id"]


async def test_ten_registrations_at_once_make_one_account(guest: Caller) -> None:
    email = fresh_email()
    spellings = [email, email.upper(), email.title(), f" {email}", email] * 2

    answers = await asyncio.gather(
        *(guest.post(REGISTER, {"email": spelling, "password": PASSWORD}) for spelling in spellings)
    )

    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 9
    for answer in answers:
        if answer.status_code == 409:
            error(answer, 409, "email_taken")


@pytest.mark.parametrize(
    "password", ["short7!", "x" * 129, "password", "12345678", "", "qwertyuiop"], ids=lambda text: text[:12] or "empty"
)
async def test_a_weak_password_is_refused(guest: Caller, password: str) -> None:
    body = error(await guest.post(REGISTER, {"email": fresh_email(), "password": password}), 422, "validation_failed")

    assert [detail["field"] for detail in body["details"]] == ["password"]


@pytest.mark.parametrize("email", ["", "ada", "ada@", "@example.com", "a b@example.com", "ada@example.com\r\nBcc: x"])
async def test_what_is_no_address_is_refused(guest: Caller, email: str) -> None:
    body = error(await guest.post(REGISTER, {"email": email, "password": PASSWORD}), 422, "validation_failed")

    assert [detail["field"] for detail in body["details"]] == ["email"]


@pytest.mark.parametrize("letter", ["x", "ß", "🔑"])
async def test_a_long_password_counts_to_its_last_character(guest: Caller, letter: str) -> None:
    email, password = fresh_email(), letter * 127 + "1"
    data(await guest.post(REGISTER, {"email": email, "password": password}), 201)

    error(await guest.post(LOGIN, {"email": email, "password": letter * 127 + "2"}), 401, "invalid_credentials")
    error(await guest.post(LOGIN, {"email": email, "password": letter * 72}), 401, "invalid_credentials")
    data(await guest.post(LOGIN, {"email": email, "password": password}))


async def test_ten_sign_ins_at_once_leave_other_requests_quick(phone: Phone, guest: Caller) -> None:
    body = {"email": phone.account.email, "password": PASSWORD}
    logins = asyncio.gather(*(guest.post(LOGIN, body) for _ in range(10)))

    assert await phone.balance() == 100
    for answer in await logins:
        assert answer.status_code == 503 or data(answer), answer.text  # bcrypt's queue is short


async def test_a_refresh_token_is_good_for_a_new_pair(phone: Phone, guest: Caller) -> None:
    pair = data(await guest.post("/api/auth/refresh", {"refreshToken": phone.account.refresh_token}))

    assert pair.keys() == PAIR_KEYS
    check_pair(pair, user_id=phone.account.id, email=phone.account.email)
    assert pair["token"] != phone.account.token
    assert pair["refreshToken"] != phone.account.refresh_token
    renewed = Phone(guest.http, replace(phone.account, token=pair["token"]))
    assert await renewed.balance() == 100


@pytest.mark.parametrize("token", ["", "nonsense", "a" * 43])
async def test_a_made_up_refresh_token_is_refused(guest: Caller, token: str) -> None:
    answer = await guest.post("/api/auth/refresh", {"refreshToken": token})

    assert error(answer, answer.status_code)["code"]
    assert answer.status_code in (401, 422)


async def test_an_access_token_does_not_refresh(phone: Phone, guest: Caller) -> None:
    answer = await guest.post("/api/auth/refresh", {"refreshToken": phone.account.token})

    assert answer.status_code in (401, 422)
    error(answer, answer.status_code)


async def test_accounts_know_nothing_of_each_other(new_phone: NewPhone) -> None:
    ada, bob = await new_phone(), await new_phone()

    await ada.post("/api/coin/deduct", {"amount": 5, "userId": bob.account.id})

    assert (await ada.balance(), await bob.balance()) == (95, 100)
