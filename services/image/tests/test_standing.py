"""What a user is told of each step, and that it never goes back."""

from itertools import pairwise
from typing import Any

import pytest

from common.clock import utc_now
from image_service.models import Failure, Generation, Picture, State
from image_service.orders import Order
from image_service.standing import Status, event_number, is_final, progress_of, status_of

SAMPLES = 4


def generation(state: State, **fields: Any) -> Generation:
    order = Order(
        prompt="a fox", negative_prompt=None, style_preset=None, width=1024, height=1024, samples=SAMPLES, steps=30,
        cfg_scale=7.0, seed=None,
    )  # fmt: skip
    values: dict[str, Any] = {
        "id": "0" * 24, "user_id": "1" * 24, "key": None, "holds_key": False, "fingerprint": "f", "order": order,
        "coins_per_image": 10, "state": state, "open": True, "created_at": utc_now(),
    }  # fmt: skip
    return Generation(**(values | fields))


PICTURE = Picture(image_id="2" * 24, file="a.png", seed=1, size_bytes=1, sha256="0")


@pytest.mark.parametrize(
    ("state", "code", "status"),
    [
        ("accepted", None, "queued"),
        ("reserved", None, "queued"),
        ("drawing", None, "running"),
        ("stored", None, "running"),
        ("succeeded", None, "succeeded"),
        ("voiding", "provider_failed", "failed"),
        ("failed", "provider_failed", "failed"),
        ("voiding", "canceled", "canceled"),
        ("failed", "canceled", "canceled"),
        ("failed", None, "failed"),
    ],
)
def test_every_state_has_one_status(state: State, code: str | None, status: Status) -> None:
    failure = None if code is None else Failure(code=code, message="No.")
    one = generation(state, failure=failure)
    assert status_of(one) == status
    assert is_final(one) == (status in ("succeeded", "failed", "canceled"))


def test_progress_never_goes_back_whatever_is_drawn_anew() -> None:
    attempts = [
        generation("drawing", cover="coins", attempts=attempt, drawn=drawn)
        for attempt in (1, 2, 3)
        for drawn in range(SAMPLES + 1)
    ]
    story = [
        generation("accepted"),
        generation("reserved", cover="coins"),
        *attempts,
        generation("stored", cover="coins", attempts=3, pictures=[PICTURE]),
        generation("succeeded", cover="coins", attempts=3, pictures=[PICTURE]),
    ]
    told = [progress_of(one) for one in story]
    assert (told[0], told[-1]) == (0, 100)
    assert all(before <= after for before, after in pairwise(told))
    assert len({progress_of(one) for one in attempts[: SAMPLES + 1]}) == SAMPLES + 1
    for one in story[:-1]:
        failed = one.model_copy(update={"state": "failed"})
        assert progress_of(failed) == progress_of(one)


def test_failing_is_one_event_though_it_takes_two_steps() -> None:
    assert event_number(generation("drawing", version=3)) == 3
    assert event_number(generation("voiding", version=4)) == event_number(generation("failed", version=5)) == 4
    assert event_number(generation("succeeded", version=5)) == 5
