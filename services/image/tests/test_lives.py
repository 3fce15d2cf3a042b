"""However often its processes die, sleep or go deaf, before or after whichever step: money and pictures agree."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from common.mongo import Database
from image_service.models import Cover, Generation, State
from image_service.testing.fates import Doom, Ending
from image_service.testing.lives import Life, Play, Said, Script

ENDINGS: tuple[Ending, ...] = get_args(Ending)

AT_ONCE = 6

MOVED = "move"
BY_COINS = ["entitlements", "holds", MOVED, MOVED, "text-to-image", *["put"] * 4, MOVED, "captures", "add_all", MOVED]
COVERED = ["entitlements", "reserve", MOVED, MOVED, "text-to-image", *["put"] * 4, MOVED, "settle"]
REJECTED = ["entitlements", "holds", MOVED, MOVED, "text-to-image", MOVED, "voids", "delete"]
RESERVING = range(1, 4)
"""Where it is set aside what they cost, and where that is written down; then comes the engine's turn."""

Played = Callable[..., Awaitable[list[tuple[Play, Generation]]]]


@pytest.fixture
def played(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Played:
    """Let orders go through this, some at a time; see that nothing is wrong with any, and return how they ended."""
    for name in ("drawing", "runner", "moves"):
        monkeypatch.setattr(f"image_service.{name}.MAX_PAUSE_SECONDS", 0.02)

    async def play_all(*scripts: Script) -> list[tuple[Play, Generation]]:
        plays = [Play(database, tmp_path, script) for script in scripts]
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(play: Play) -> tuple[Play, Generation]:
            async with turns:
                ended = await play.run()
                await play.check(ended)
                return play, ended

        return await asyncio.gather(*(one(play) for play in plays))

    return play_all


async def ends_of(
    played: Played,
    ending: Ending,
    steps: list[str],
    at: Iterable[int],
    *,
    first: bool,
    then: bool,
    said: Sequence[Said] = (),
) -> set[tuple[State, Cover | None]]:
    """Let this happen to an order's first process, at each of some of its steps; returns how the orders ended."""
    dooms = [Doom(step, ending) for step in at]
    ends = await played(*(Script([Life(doom, first), Life(is_covered=then)], said) for doom in dooms))
    for doom, (play, _) in zip(dooms, ends, strict=True):
        assert play.fates[0].steps[: doom.step + 1] == steps[: doom.step + 1]
        assert play.fates[0].struck == steps[doom.step], "or it would prove nothing"
    return {(ended.state, ended.cover) for _, ended in ends}


@pytest.mark.parametrize("ending", ENDINGS)
async def test_one_fault_at_any_step_costs_nobody_a_picture(played: Played, ending: Ending) -> None:
    assert await ends_of(played, ending, BY_COINS, range(len(BY_COINS)), first=False, then=False) == {
        ("succeeded", "coins")
    }
    ends = await ends_of(played, ending, COVERED, [*RESERVING, 9, 10], first=True, then=True)
    assert {state for state, _ in ends} == {"succeeded"}
    assert ("succeeded", "subscription") in ends


@pytest.mark.parametrize("ending", [ending for ending in ENDINGS if ending.startswith("sleeps")])
async def test_who_slept_takes_no_step_although_all_is_as_it_was(played: Played, ending: Ending) -> None:
    claimed = Life(Doom(0, "dies before"))  # which changes nothing but whose the order is
    scripts = [Script([Life(Doom(step, ending)), claimed]) for step in range(len(BY_COINS))]
    assert {ended.state for _, ended in await played(*scripts)} == {"succeeded"}


@pytest.mark.parametrize("ending", ENDINGS)
async def test_a_price_is_set_aside_once_although_the_cover_changes(played: Played, ending: Ending) -> None:
    ends = await ends_of(played, ending, COVERED, RESERVING, first=True, then=False)
    ends |= await ends_of(played, ending, BY_COINS, RESERVING, first=False, then=True)
    assert {state for state, _ in ends} == {"succeeded"}


@pytest.mark.parametrize("ending", ENDINGS)
async def test_what_the_engine_refuses_costs_nothing_whatever_happens(played: Played, ending: Ending) -> None:
    said: list[Said] = ["rejected"] * 3
    ends = await ends_of(played, ending, REJECTED, range(1, len(REJECTED)), first=False, then=False, said=said)
    assert {state for state, _ in ends} == {"failed"}


@pytest.mark.parametrize("ending", ENDINGS)
async def test_what_is_called_off_costs_nothing_whatever_happens(played: Played, ending: Ending) -> None:
    lives = [
        [Life(Doom(step, ending), is_covered), Life(later, cancels=True)]
        for is_covered in (False, True)
        for step in RESERVING
        for later in (None, *([Doom(0, ending)] if step == 1 else []))
    ]
    for play, ended in await played(*(Script(each) for each in lives)):
        is_drawn = bool(play.world.engine.orders)
        assert ended.state == ("succeeded" if is_drawn else "failed"), (play.script, ended.failure)


async def test_the_engine_is_asked_three_times_however_many_processes_die(played: Played) -> None:
    died = [Life(Doom(4, "dies after")), *[Life(Doom(1, "dies after"))] * 5]
    slept = [Life(Doom(3, "sleeps after"), sleeps=9), *[Life(Doom(0, "sleeps after"), sleeps=9)] * 5]
    scripts = [Script(died), Script(slept), Script([], said=["lost"] * 5)]
    for play, ended in await played(*scripts):
        assert (ended.state, ended.attempts, len(play.world.engine.orders)) == ("failed", 3, 3)


DOOMS = st.builds(Doom, st.integers(0, 13), st.sampled_from(ENDINGS))
LIFE = st.builds(Life, DOOMS, st.booleans(), st.integers(1, 3), st.sampled_from([False] * 7 + [True]))
SAID = st.lists(st.sampled_from(["good", "withheld", "lost", "refused", "rejected"]), max_size=3)
SCRIPTS = st.builds(Script, st.lists(LIFE, max_size=5), SAID, st.sampled_from([5, 100, 100]))


@settings(
    max_examples=10,
    deadline=None,
    phases=[Phase.reuse, Phase.generate],  # to make a script shorter would take minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(scripts=st.lists(SCRIPTS, min_size=AT_ONCE, max_size=AT_ONCE))
async def test_money_and_pictures_agree_whatever_happens(played: Played, scripts: list[Script]) -> None:
    await played(*scripts)
