"""Places of one process, and who may take the last ones."""

import pytest

from image_service.errors import TooBusyError, TooManyGenerationsError
from image_service.places import Places


@pytest.fixture
def places() -> Places:
    return Places(drawing=2, drawing_per_user=2, waiting=6, per_user=5)


def test_a_user_has_so_many_and_no_more(places: Places) -> None:
    for _ in range(5):
        places.take("ada")
    with pytest.raises(TooManyGenerationsError):
        places.take("ada")


def test_the_last_places_are_for_those_who_have_none(places: Places) -> None:
    for user_id in ("ada", "ada", "ada", "bob", "bob", "bob"):
        places.take(user_id)
    with pytest.raises(TooBusyError):
        places.take("ada")
    places.take("eve")
    with pytest.raises(TooBusyError):
        places.take("eve")
    places.take("joe")
    assert places.room == 0
    with pytest.raises(TooBusyError):
        places.take("zoe")


def test_what_is_given_back_can_be_taken_again(places: Places) -> None:
    for _ in range(5):
        places.take("ada")
    places.give_back("ada")
    places.take("ada")
    assert places.room == 3
