"""Refresh tokens: good once, a lost answer forgiven, a stolen one fatal."""

import asyncio
import base64
from typing import Any

import pytest
import pytest_asyncio

from auth_service.errors import InvalidRefreshTokenError, TokenReusedError
from auth_service.models import Account
from auth_service.sessions import REMEMBERED_TOKENS, SessionService
from auth_service.store import AccountStore
from common.auth import TokenVerifier
from common.testing import TEST_SECRETS, user_token


@pytest_asyncio.fixture
async def account(accounts: AccountStore) -> Account:
    account = Account(email="ada@example.com", email_key="ada@example.com", name=None, password_hash="-")
    await accounts.add(account)
    return account


async def test_a_pair_speaks_for_its_user_and_session(sessions: SessionService, account: Account) -> None:
    first = await sessions.open(account)
    second = await sessions.refresh(first.refresh_token)
    verifier = TokenVerifier(TEST_SECRETS["jwt_secret"])
    before, after = verifier.verify(first.access_token), verifier.verify(second.access_token)
    assert (after.id, after.email, after.session_id) == (account.id, account.email, before.session_id)
    assert second.expires_in == 900
    assert len({first.refresh_token, second.refresh_token}) == 2
    assert len(base64.urlsafe_b64decode(first.refresh_token + "=")) - 12 == 32  # bytes of chance


async def test_a_lost_answer_can_be_had_again_until_it_is_used(sessions: SessionService, account: Account) -> None:
    first = (await sessions.open(account)).refresh_token
    second = (await sessions.refresh(first)).refresh_token
    assert (await sessions.refresh(first)).refresh_token == second
    third = (await sessions.refresh(second)).refresh_token
    with pytest.raises(TokenReusedError):
        await sessions.refresh(first)
    for token in (second, third):  # the whole family is dead
        with pytest.raises(InvalidRefreshTokenError):
            await sessions.refresh(token)


async def test_a_lost_answer_is_forgiven_for_half_a_minute(
    sessions: SessionService, account: Account, clock: Any
) -> None:
    first = (await sessions.open(account)).refresh_token
    second = (await sessions.refresh(first)).refresh_token
    clock.advance(30)
    assert (await sessions.refresh(first)).refresh_token == second
    clock.advance(1)
    with pytest.raises(TokenReusedError) as refusal:
        await sessions.refresh(first)
    assert refusal.value.code == "token_reused"
    with pytest.raises(InvalidRefreshTokenError):
        await sessions.refresh(second)


async def test_many_at_once_with_one_token_get_one_successor(sessions: SessionService, account: Account) -> None:
    first = (await sessions.open(account)).refresh_token
    pairs = await asyncio.gather(*(sessions.refresh(first) for _ in range(10)))
    assert len({pair.refresh_token for pair in pairs}) == 1
    assert (await sessions.refresh(pairs[0].refresh_token)).refresh_token != pairs[0].refresh_token


async def test_another_session_of_the_user_lives_on(sessions: SessionService, account: Account, clock: Any) -> None:
    phone, tablet = await sessions.open(account), await sessions.open(account)
    await sessions.refresh(phone.refresh_token)
    clock.advance(31)
    with pytest.raises(TokenReusedError):
        await sessions.refresh(phone.refresh_token)
    assert (await sessions.refresh(tablet.refresh_token)).refresh_token


async def test_a_session_ends_when_nobody_refreshes_it(sessions: SessionService, account: Account, clock: Any) -> None:
    token = (await sessions.open(account)).refresh_token
    for _ in range(2):
        clock.advance(89 * 86_400)
        token = (await sessions.refresh(token)).refresh_token
    clock.advance(90 * 86_400)
    with pytest.raises(InvalidRefreshTokenError):
        await sessions.refresh(token)


async def test_a_session_remembers_a_bounded_number_of_tokens(sessions: SessionService, account: Account) -> None:
    token = oldest = (await sessions.open(account)).refresh_token
    for _ in range(REMEMBERED_TOKENS + 1):
        token = (await sessions.refresh(token)).refresh_token
    with pytest.raises(InvalidRefreshTokenError):
        await sessions.refresh(oldest)
    assert (await sessions.refresh(token)).refresh_token  # what is too old is refused and does no harm


async def test_what_is_no_refresh_token_of_ours(sessions: SessionService, account: Account) -> None:
    pair = await sessions.open(account)
    content = base64.urlsafe_b64decode(pair.refresh_token + "=")
    guessed = base64.urlsafe_b64encode(content[:12] + b"\0" * 32).decode().rstrip("=")
    for token in ("", "x", "é" * 59, pair.access_token, user_token(account.id), guessed, pair.refresh_token + "AAAA"):
        with pytest.raises(InvalidRefreshTokenError) as refusal:
            await sessions.refresh(token)
        assert "token" in refusal.value.message
    assert (await sessions.refresh(pair.refresh_token)).refresh_token  # guessing has ended nothing


async def test_a_session_of_an_account_that_is_gone(sessions: SessionService, account: Account, database: Any) -> None:
    pair = await sessions.open(account)
    await database["accounts"].delete_one({"_id": account.id})
    with pytest.raises(InvalidRefreshTokenError):
        await sessions.refresh(pair.refresh_token)
