"""What is left of a limit, and how long to wait."""

from datetime import timedelta

import pytest

from auth_service.limits import MAX_WAIT_SECONDS, Allowance, Limit
from auth_service.models import Tally
from common.clock import utc_now

LIMIT = Limit("test", 3, timedelta(hours=1))


def allowance(count: int, *, seconds_ago: float) -> Allowance:
    now = utc_now()
    last = now - timedelta(seconds=seconds_ago)
    return Allowance.of(LIMIT, Tally(id="x", count=count, last_at=last, expires_at=now + timedelta(minutes=30)), now)


def test_nothing_counted_is_all_left() -> None:
    assert Allowance.of(LIMIT, None, utc_now()) == Allowance(3, 3, 3600, 0)


def test_below_the_limit_nobody_waits_even_if_another_counted_a_moment_later() -> None:
    assert allowance(2, seconds_ago=-0.005) == Allowance(3, 1, 1800, 0)


@pytest.mark.parametrize(("count", "seconds"), [(3, 2), (4, 4), (5, 8), (11, 512), (12, 900), (10_000_000, 900)])
def test_waits_grow_to_a_quarter_of_an_hour(count: int, seconds: int) -> None:
    assert allowance(count, seconds_ago=0) == Allowance(3, 0, seconds, seconds)
    assert allowance(count, seconds_ago=seconds).wait_seconds == 0
    assert seconds <= MAX_WAIT_SECONDS


def test_subjects_are_told_apart_and_not_named() -> None:
    ada, eve = LIMIT.of("ada@example.com"), LIMIT.of("eve@example.com")
    assert ada.id != eve.id
    assert "ada" not in ada.id
