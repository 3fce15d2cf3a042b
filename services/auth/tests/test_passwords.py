"""Which passwords are taken, and how they are kept."""

import asyncio

import pytest

from auth_service.errors import PasswordsBusyError
from auth_service.passwords import COMMON_PASSWORDS, PasswordHasher, check_new_password


@pytest.mark.parametrize(
    "password",
    ["correct horse battery", "S3cure-pass!", "Passw0rd!x", "😀" * 8, "пароль-ночи", "a\x00b" * 8, "x" * 127 + "y"],
)
def test_passwords_of_any_unicode_are_taken(password: str) -> None:
    assert check_new_password(password, "ada@example.com") == password


@pytest.mark.parametrize(
    "password",
    [
        "",
        "1234567",
        "x" * 129,
        "password",
        "Password1",
        "PASSWORD123",
        "12345678",
        "qwertyuiop",
        "iloveyou",
        "P@ssw0rd",
    ],
)
def test_short_long_and_common_ones_are_refused(password: str) -> None:
    with pytest.raises(ValueError, match=r"must be|commonest"):
        check_new_password(password, None)


def test_length_is_counted_in_composed_characters() -> None:
    assert len(check_new_password("e\u0301" * 127 + "a", None)) == 128
    with pytest.raises(ValueError, match="8 to 128"):
        check_new_password("e\u0301" * 7, None)


def test_the_address_is_no_password_and_half_a_character_neither() -> None:
    with pytest.raises(ValueError, match="e-mail"):
        check_new_password(" ADA@example.com", "ada@example.com")
    with pytest.raises(ValueError, match="Unicode"):
        check_new_password("abcdefgh\ud800", None)


def test_the_list_holds_only_what_the_length_would_let_through() -> None:
    assert len(COMMON_PASSWORDS) > 1000
    assert all(len(password) >= 8 and password == password.lower() for password in COMMON_PASSWORDS)


@pytest.mark.parametrize(
    ("password", "other"),
    [
        ("x" * 72 + "one", "x" * 72 + "two"),
        ("😀" * 20 + "a", "😀" * 20 + "b"),
        ("seven\x00one", "seven\x00two"),
        ("x" * 128, "x" * 127),
    ],
)
async def test_every_character_counts(passwords: PasswordHasher, password: str, other: str) -> None:
    async with passwords.slot() as slot:
        password_hash = await slot.hash(password)
        assert await slot.verify(password, password_hash)
        assert not await slot.verify(other, password_hash)


async def test_nobodys_hash_costs_the_same_and_opens_nothing() -> None:
    for rounds in (4, 5):
        hasher = PasswordHasher(rounds=rounds)
        assert not hasher.is_outdated(hasher._nobodys_hash)
        async with hasher.slot() as slot:
            assert not await slot.verify("correct horse battery", None)
            assert hasher.is_outdated(await slot.hash("x")) is False
        hasher.close()


async def test_the_loop_goes_on_while_bcrypt_works() -> None:
    hasher = PasswordHasher(rounds=8)
    turns = 0
    async with hasher.slot() as slot:
        work = asyncio.ensure_future(slot.hash("correct horse battery"))
        while not work.done():
            turns += 1
            await asyncio.sleep(0)
    hasher.close()
    assert turns > 10


async def test_nobody_stands_in_line_for_ever() -> None:
    hasher = PasswordHasher(rounds=4, slots=1, max_wait_seconds=0.02)
    async with hasher.slot():
        with pytest.raises(PasswordsBusyError):
            async with hasher.slot():
                pass
    async with hasher.slot() as slot:  # and the slot was not lost
        assert await slot.hash("correct horse battery")
    hasher.close()


async def test_the_line_has_an_end_and_moves_on() -> None:
    hasher = PasswordHasher(rounds=4, slots=2, max_waiting=1)
    inside = 0
    most = 0
    gate = asyncio.Event()

    async def stand_in_line() -> None:
        nonlocal inside, most
        async with hasher.slot():
            inside += 1
            most = max(most, inside)
            await gate.wait()
            inside -= 1

    line = [asyncio.create_task(stand_in_line()) for _ in range(3)]
    await asyncio.sleep(0)  # each has gone as far as it gets: two inside, one in line
    assert inside == 2
    with pytest.raises(PasswordsBusyError) as refusal:
        async with hasher.slot():
            pass
    assert int(refusal.value.headers["Retry-After"]) > 0

    line[2].cancel()  # whoever leaves the line makes room in it
    await asyncio.gather(line[2], return_exceptions=True)
    late = asyncio.create_task(stand_in_line())
    gate.set()
    await asyncio.gather(line[0], line[1], late)
    assert (inside, most) == (0, 2)
    hasher.close()
