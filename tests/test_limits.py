"""Limits: told in advance, and not to be talked round."""

from journey.answers import data, error
from journey.phone import Caller, Phone

LOGIN = "/api/auth/login"
RATE_LIMIT = ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")


async def test_limited_routes_tell_what_is_left(phone: Phone, guest: Caller) -> None:
    login = await guest.post(LOGIN, {"email": phone.account.email, "password": phone.account.password})
    earn = await phone.post("/api/coin/earn", {"amount": 10, "source": "ad_watch"})
    again = await phone.post("/api/coin/earn", {"amount": 10, "source": "ad_watch"})

    for answer in (login, earn, again):
        limit, remaining, reset = (int(answer.headers[name]) for name in RATE_LIMIT)
        assert 0 <= remaining <= limit
        assert reset > 0
    assert (earn.headers["ratelimit-limit"], earn.headers["ratelimit-remaining"]) == ("100", "90")


async def test_guessing_a_password_is_slowed_down_from_wherever_it_comes(phone: Phone, guest: Caller) -> None:
    statuses = []
    for number in range(40):
        answer = await guest.send(
            "POST",
            LOGIN,
            json={"email": phone.account.email, "password": f"guess number {number}"},
            headers={"X-Forwarded-For": f"203.0.113.{number}", "Forwarded": f"for=203.0.113.{number}"},
        )
        statuses.append(answer.status_code)
        if answer.status_code == 429:
            break
        error(answer, 401, "invalid_credentials")

    assert statuses[-1] == 429, "forty guesses, and none was refused"
    error(answer, 429, "too_many_attempts")
    assert int(answer.headers["retry-after"]) >= 1
    assert await phone.balance() == 100  # an open session goes on
    other = data(await guest.post("/api/auth/refresh", {"refreshToken": phone.account.refresh_token}))
    assert other["tokenType"] == "Bearer"
