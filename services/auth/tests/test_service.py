"""The rules of signing in, limits, and versioned changes."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import REGISTRY

from auth_service.errors import InvalidCredentialsError, TooManyAttemptsError
from auth_service.passwords import PasswordHasher
from auth_service.service import AccountService, AuthService
from auth_service.store import AccountStore
from common.clients.auth import AccountNotFoundError, EmailTakenError
from common.mongo import Database

PASSWORD = "correct horse battery"
ADDRESS = "203.0.113.7"


async def register(auth: AuthService, email: str = "ada@example.com") -> str:
    return (await auth.register(email, PASSWORD, name=None, address=ADDRESS)).account.id


async def fail(auth: AuthService, email: str = "ada@example.com", *, address: str = ADDRESS) -> InvalidCredentialsError:
    with pytest.raises(InvalidCredentialsError) as refusal:
        await auth.login(email, "wrong password", address=address)
    return refusal.value


async def wait_told(auth: AuthService, email: str = "ada@example.com", *, address: str = ADDRESS) -> int:
    with pytest.raises(TooManyAttemptsError) as refusal:
        await auth.login(email, PASSWORD, address=address)
    return int(refusal.value.headers["Retry-After"])


def bcrypt_runs() -> float:
    return REGISTRY.get_sample_value("bcrypt_seconds_count", {"operation": "verify"}) or 0.0


async def test_unknown_address_takes_the_same_work_and_gets_the_same_answer(auth: AuthService) -> None:
    await register(auth)
    answers, runs = [], []
    for email in ("ada@example.com", "nobody@example.com"):
        before = bcrypt_runs()
        answers.append(await fail(auth, email, address=email))
        runs.append(bcrypt_runs() - before)
    known, unknown = answers
    assert runs == [1, 1]
    assert (known.status, known.code, known.message, known.details, known.headers) == (
        unknown.status,
        unknown.code,
        unknown.message,
        unknown.details,
        unknown.headers,
    )
    assert "token" in known.message


@pytest.mark.parametrize("email", ["ada@example.com", "nobody@example.com"])
async def test_failures_on_one_account_cost_growing_waits(auth: AuthService, clock: Any, email: str) -> None:
    await register(auth)
    for number in range(3):
        assert (await fail(auth, email, address=f"198.51.100.{number}")).headers["RateLimit-Remaining"] == str(
            2 - number
        )
    for number, seconds in enumerate((2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900)):
        address = f"203.0.113.{number}"  # from wherever
        assert await wait_told(auth, email, address=address) == seconds
        clock.advance(seconds - 1)
        assert await wait_told(auth, email, address=address) == 1  # trying meanwhile has not made it longer
        clock.advance(1)
        await fail(auth, email, address=address)


async def test_the_right_password_after_the_wait_starts_anew(auth: AuthService, clock: Any) -> None:
    await register(auth)
    for _ in range(3):
        await fail(auth)
    assert await wait_told(auth) == 2
    clock.advance(2)
    signed_in = await auth.login("ada@example.com", PASSWORD, address="198.51.100.1")
    assert signed_in.allowance.remaining == 3
    assert (await fail(auth, address="198.51.100.1")).headers["RateLimit-Remaining"] == "2"


async def test_a_wait_is_for_signing_in_only(auth: AuthService, sessions: Any) -> None:
    await register(auth)
    tokens = (await auth.login("ada@example.com", PASSWORD, address=ADDRESS)).tokens
    for _ in range(3):
        await fail(auth)
    await wait_told(auth)
    assert (await sessions.refresh(tokens.refresh_token)).access_token


async def test_failures_from_one_address_cost_waits_on_every_account(auth: AuthService, clock: Any) -> None:
    await register(auth)
    for number in range(6):
        await fail(auth, f"user{number}@example.com")
    assert await wait_told(auth) == 2
    assert (await auth.login("ada@example.com", PASSWORD, address="198.51.100.1")).account.email == "ada@example.com"
    clock.advance(3600)
    assert (await auth.login("ada@example.com", PASSWORD, address=ADDRESS)).account.email == "ada@example.com"


async def test_a_burst_of_guesses_gets_no_further_than_a_patient_one(auth: AuthService) -> None:
    await register(auth)
    guesses = [auth.login("ada@example.com", f"guess number {number}", address=ADDRESS) for number in range(30)]
    before = bcrypt_runs()
    outcomes = await asyncio.gather(*guesses, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {InvalidCredentialsError, TooManyAttemptsError}
    assert bcrypt_runs() - before <= 4  # three are allowed, and one more was in the second slot


async def test_registrations_from_one_address_are_limited(auth: AuthService, clock: Any) -> None:
    limits = auth._limits
    auth._limits = replace(limits, registrations_per_address=replace(limits.registrations_per_address, allowed=2))
    await register(auth, "one@example.com")
    with pytest.raises(EmailTakenError):
        await register(auth, "one@example.com")
    with pytest.raises(TooManyAttemptsError) as refusal:
        await register(auth, "two@example.com")
    assert refusal.value.headers["Retry-After"] == "2"
    await auth.register("two@example.com", PASSWORD, name=None, address="198.51.100.1")
    clock.advance(3600)
    await register(auth, "three@example.com")


async def test_a_hash_of_another_cost_is_renewed_at_login(auth: AuthService, accounts: AccountStore) -> None:
    account_id = await register(auth)
    dearer = PasswordHasher(rounds=5)
    auth._passwords = dearer
    await auth.login("ada@example.com", PASSWORD, address=ADDRESS)
    account = await accounts.find(account_id)
    assert account is not None
    assert account.password_hash.startswith("$2b$05$")
    await auth.login("ada@example.com", PASSWORD, address=ADDRESS)
    dearer.close()


async def test_nothing_readable_is_kept_of_passwords_tokens_and_failures(auth: AuthService, database: Database) -> None:
    await register(auth)
    tokens = (await auth.login("ada@example.com", PASSWORD, address=ADDRESS)).tokens
    await fail(auth)
    for name in ("accounts", "sessions", "tallies"):
        text = str(await database[name].find({}).to_list(10))
        assert PASSWORD not in text
        assert tokens.refresh_token not in text
        assert tokens.access_token not in text
        assert name == "accounts" or ("ada@" not in text and ADDRESS not in text)


async def test_a_change_moves_the_login_to_the_new_address(auth: AuthService, account_service: AccountService) -> None:
    account_id = await register(auth)
    account = await account_service.change(account_id, email="Countess@example.com", name="Ada", version=1)
    assert (account.email, account.name, account.version, account.email_verified) == (
        "Countess@example.com",
        "Ada",
        1,
        False,
    )
    assert (await auth.login("countess@EXAMPLE.com", PASSWORD, address=ADDRESS)).account.id == account_id
    await fail(auth, "ada@example.com")
    await register(auth, "ada@example.com")  # the old one is free


async def test_a_change_is_applied_once_and_never_by_an_older_one(
    auth: AuthService, account_service: AccountService
) -> None:
    account_id = await register(auth)
    await account_service.change(account_id, email="second@example.com", name=None, version=2)
    for version in (2, 1, 0, -1):
        account = await account_service.change(account_id, email="late@example.com", name="Late", version=version)
        assert (account.email, account.name, account.version) == ("second@example.com", None, 2)


async def test_a_refused_change_stays_refused_when_the_address_becomes_free(
    auth: AuthService, account_service: AccountService
) -> None:
    eve = await register(auth, "eve@example.com")
    ada = await register(auth)
    with pytest.raises(EmailTakenError):
        await account_service.change(ada, email="EVE@example.com", name=None, version=1)
    await account_service.change(eve, email="eva@example.com", name=None, version=1)
    with pytest.raises(EmailTakenError):  # a copy that was delayed on the road
        await account_service.change(ada, email="EVE@example.com", name=None, version=1)
    assert (await account_service.get(ada)).email == "ada@example.com"
    assert (await account_service.change(ada, email="EVE@example.com", name=None, version=2)).version == 2


async def test_the_verified_mark_belongs_to_the_address(
    auth: AuthService, account_service: AccountService, database: Database
) -> None:
    account_id = await register(auth)
    await database["accounts"].update_one({"_id": account_id}, {"$set": {"email_verified": True}})
    assert (await account_service.change(account_id, email="Ada@example.com", name="A", version=1)).email_verified
    changed = await account_service.change(account_id, email="other@example.com", name="A", version=2)
    assert not changed.email_verified


async def test_two_changes_to_one_address_at_once_let_one_in(
    auth: AuthService, account_service: AccountService
) -> None:
    ids = [await register(auth, f"user{number}@example.com") for number in range(8)]
    outcomes = await asyncio.gather(
        *(account_service.change(one, email="wanted@example.com", name=None, version=1) for one in ids),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, EmailTakenError) for outcome in outcomes) == 7
    emails = [(await account_service.get(one)).email for one in ids]
    assert emails.count("wanted@example.com") == 1


async def test_unknown_account(account_service: AccountService) -> None:
    with pytest.raises(AccountNotFoundError):
        await account_service.get("0" * 24)
    with pytest.raises(AccountNotFoundError):
        await account_service.change("0" * 24, email="a@b.de", name=None, version=1)
