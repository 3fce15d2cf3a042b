"""What only the operator can mend is told loudly, and not with every order."""

import pytest
from structlog.testing import capture_logs

from image_service.providers.alarms import ALARM_SECONDS, MAX_TROUBLES, Alarms


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_one_trouble_is_told_once_in_a_while(clock: Clock) -> None:
    alarms = Alarms(clock=clock)
    with capture_logs() as lines:
        for _ in range(50):
            alarms.tell("the engine refuses us", status=401, name="unauthorized")
        alarms.tell("the engine refuses us", status=404, name="not_found")
        clock.now += ALARM_SECONDS
        alarms.tell("the engine refuses us", status=401, name="unauthorized")
    assert [(line["log_level"], line["status"], line["kept_back"]) for line in lines] == [
        ("error", 401, 0),
        ("error", 404, 0),
        ("error", 401, 49),
    ]


def test_names_without_end_fill_nothing(clock: Clock) -> None:
    alarms = Alarms(clock=clock)
    with capture_logs() as lines:
        for number in range(10 * MAX_TROUBLES):
            alarms.tell("the engine refuses us", status=400, name=str(number))
    assert len(lines) == MAX_TROUBLES + 1
