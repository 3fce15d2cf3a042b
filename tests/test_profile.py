"""The profile, and the e-mail address that account and profile share."""

import asyncio

from journey.answers import data, error
from journey.phone import PASSWORD, Caller, NewPhone, Phone, fresh_email
from journey.polling import until

PROFILE = "/api/user/profile"
LOGIN = "/api/auth/login"
KEYS = {"id", "email", "name", "avatarUrl", "createdAt", "updatedAt"}


async def signs_in(guest: Caller, email: str) -> bool:
    answer = await guest.post(LOGIN, {"email": email, "password": PASSWORD})
    if answer.status_code != 200:
        error(answer, 401, "invalid_credentials")
    return answer.status_code == 200


async def test_a_profile_exists_from_the_first_call(phone: Phone) -> None:
    profile = data(await phone.get(PROFILE))

    assert profile.keys() == KEYS
    assert (profile["id"], profile["email"], profile["name"]) == (phone.account.id, phone.account.email, "Ada")
    assert profile["avatarUrl"] is None


async def test_first_calls_at_once_make_one_profile(phone: Phone) -> None:
    profiles = [data(answer) for answer in await asyncio.gather(*(phone.get(PROFILE) for _ in range(8)))]

    assert all(profile == profiles[0] for profile in profiles)


async def test_name_and_picture_change(phone: Phone) -> None:
    before = data(await phone.get(PROFILE))
    change = {"name": "Ada Lovelace", "avatarUrl": "https://example.com/ada.png"}

    changed = data(await phone.put(PROFILE, change))

    assert changed == {**before, **change, "updatedAt": changed["updatedAt"]}
    assert changed["updatedAt"] >= before["updatedAt"]
    assert data(await phone.get(PROFILE)) == changed


async def test_what_is_not_sent_stays(phone: Phone) -> None:
    data(await phone.put(PROFILE, {"name": "Countess"}))

    profile = data(await phone.put(PROFILE, {"avatarUrl": "https://example.com/ada.png"}))

    assert profile["name"] == "Countess"


async def test_after_an_email_change_the_new_one_signs_in_and_the_old_one_does_not(phone: Phone, guest: Caller) -> None:
    old, new = phone.account.email, fresh_email("lovelace")

    profile = data(await phone.put(PROFILE, {"email": new}))

    assert profile["email"] == new
    assert await signs_in(guest, new)
    assert not await signs_in(guest, old)
    assert data(await phone.get(PROFILE))["email"] == new


async def test_an_address_that_was_given_up_is_free(phone: Phone, guest: Caller) -> None:
    data(await phone.put(PROFILE, {"email": fresh_email("moved")}))

    body = {"email": phone.account.email, "password": PASSWORD}
    session = data(await guest.post("/api/auth/register", body), 201)

    assert session["user"]["id"] != phone.account.id


async def test_another_users_address_is_taken_however_it_is_spelled(new_phone: NewPhone, guest: Caller) -> None:
    ada, bob = await new_phone(), await new_phone()

    for spelling in (bob.account.email, bob.account.email.upper(), f" {bob.account.email} "):
        error(await ada.put(PROFILE, {"email": spelling, "name": "Thief"}), 409, "email_taken")

    assert data(await ada.get(PROFILE))["email"] == ada.account.email
    assert await signs_in(guest, ada.account.email)
    assert await signs_in(guest, bob.account.email)


async def test_two_users_who_want_one_address_at_once(new_phone: NewPhone, guest: Caller) -> None:
    phones = [await new_phone(), await new_phone()]
    wanted = fresh_email("wanted")

    answers = await asyncio.gather(*(phone.put(PROFILE, {"email": wanted}) for phone in phones))

    assert sorted(answer.status_code for answer in answers) == [200, 409]
    loser = phones[0] if answers[0].status_code == 409 else phones[1]

    async def settled() -> bool:
        return bool(data(await loser.get(PROFILE))["email"] == loser.account.email)

    await until(settled, "the loser's profile shows the old address")
    assert await signs_in(guest, wanted)
    assert await signs_in(guest, loser.account.email)


async def test_changes_at_once_leave_account_and_profile_agreeing(phone: Phone, guest: Caller) -> None:
    wanted = [fresh_email(f"move{number}") for number in range(4)]

    answers = await asyncio.gather(*(phone.put(PROFILE, {"email": email}) for email in wanted))

    assert {answer.status_code for answer in answers} <= {200, 409, 503}
    assert 200 in {answer.status_code for answer in answers}
    email = data(await phone.get(PROFILE))["email"]

    async def agree() -> bool:
        return await signs_in(guest, email)

    await until(agree, "the profile's address signs in")
    others = [other for other in [*wanted, phone.account.email] if other != email]
    assert not any([await signs_in(guest, other) for other in others])


async def test_what_a_client_may_not_set_is_ignored(phone: Phone) -> None:
    before = data(await phone.get(PROFILE))
    body = {
        "name": "Ada",
        "id": "0" * 24,
        "createdAt": "1970-01-01T00:00:00.000Z",
        "coins": 1_000_000,
        "role": "admin",
        "$set": {"email": "x@example.com"},
        "email.verified": True,
        "__proto__": {"admin": True},
    }

    profile = data(await phone.put(PROFILE, body))

    assert {**profile, "updatedAt": ""} == {**before, "updatedAt": ""}
    assert await phone.balance() == 100


async def test_odd_pictures_are_refused_and_none_is_fetched(phone: Phone) -> None:
    for url in ("javascript:alert(1)", "file:///etc/passwd", "x" * 5000, "not a url"):
        error(await phone.put(PROFILE, {"avatarUrl": url}), 422, "validation_failed")

    assert data(await phone.get(PROFILE))["avatarUrl"] is None
