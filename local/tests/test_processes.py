import pytest

from local_mesh.problems import StartError
from local_mesh.processes import COIN, GATEWAY, IMAGE, MONGOD, PROCESSES, SANDBOX, Ports, select_processes


def names(only: str | None = None) -> list[str]:
    return [process.name for process in select_processes(only)]


def test_everything_runs_on_the_documented_ports() -> None:
    ports = Ports.parse("6000")

    assert {process.name: ports.of(process) for process in PROCESSES} == {
        "gateway": 6000,
        "auth": 6001,
        "user": 6002,
        "coin": 6003,
        "image": 6004,
        "subscription": 6005,
        "sandbox": 6010,
        "mongod": 6017,
    }
    assert ports.url(COIN) == "http://127.0.0.1:6003"
    assert ports.public_url == "http://localhost:6000"


def test_without_port_base_the_gateway_is_at_5000() -> None:
    assert Ports.parse(None).of(GATEWAY) == Ports.parse("").of(GATEWAY) == 5000


@pytest.mark.parametrize("text", ["six thousand", "80", "65530", "-6000", "6000.5", "\uff16\uff10\uff10\uff10"])
def test_a_port_base_that_cannot_be_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(StartError, match="PORT_BASE=6000 make run"):
        Ports.parse(text)


def test_one_service_brings_what_it_needs_and_the_way_to_use_it() -> None:
    assert names("coin") == ["mongod", "sandbox", "auth", "coin", "gateway"]
    assert names("image") == ["mongod", "sandbox", "auth", "coin", "image", "subscription", "gateway"]
    assert names("user") == ["mongod", "auth", "user", "gateway"]


def test_what_others_need_is_started_first() -> None:
    started: set[str] = set()
    for process in PROCESSES:
        assert set(process.needs) - {IMAGE.name, "subscription"} <= started
        started.add(process.name)


def test_gateway_stops_before_the_services_and_mongodb_last() -> None:
    assert GATEWAY.stop_order > COIN.stop_order > MONGOD.stop_order == SANDBOX.stop_order


def test_unknown_service_is_answered_with_those_there_are() -> None:
    with pytest.raises(StartError, match=r"no process 'wallet'.*auth, user, coin"):
        select_processes("wallet")
