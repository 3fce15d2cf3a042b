import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.testing.mongod import free_port
from local_mesh.folders import claim_folders
from local_mesh.mongo import choose_mongo
from local_mesh.preflight import check_ports
from local_mesh.problems import StartError
from local_mesh.processes import GATEWAY, MONGOD, Ports, Process


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_port_in_use_is_named_with_its_process_and_the_way_out(taken: int) -> None:
    ports = Ports(taken - 3)

    with pytest.raises(StartError) as raised:
        check_ports([Process("coin", 3)], ports)

    message = f"port {taken} (coin) is in use: free it, or move everything elsewhere: PORT_BASE={taken + 997} make run"
    assert str(raised.value) == message


def test_free_ports_pass() -> None:
    check_ports([GATEWAY], Ports(free_port()))


def test_a_second_run_of_the_same_mesh_is_refused(tmp_path: Path) -> None:
    with (
        claim_folders(tmp_path, Ports(6000)),
        pytest.raises(StartError, match="runs already at http://localhost:6000"),
        claim_folders(tmp_path, Ports(6000)),
    ):
        pass


def test_a_second_run_on_other_ports_has_folders_of_its_own(tmp_path: Path) -> None:
    with claim_folders(tmp_path, Ports(5000)) as first, claim_folders(tmp_path, Ports(6000)) as second:
        assert (first.run.name, first.data.name) == (".run", ".data")
        assert (second.run.name, second.data.name) == (".run-6000", ".data-6000")

    with claim_folders(tmp_path, Ports(6000)) as alone:
        assert (alone.run.name, alone.data.name) == (".run", ".data")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / ".data").write_text("a file stands where the folder should")

    with pytest.raises(StartError, match=r"cannot write into .*\.data"), claim_folders(tmp_path, Ports(6000)):
        pass


def test_given_mongodb_that_does_not_answer_is_said_without_its_password(tmp_path: Path) -> None:
    uri = f"mongodb://ada:secret-password@127.0.0.1:{free_port()}/?serverSelectionTimeoutMS=300"

    with claim_folders(tmp_path, Ports(6000)) as folders, pytest.raises(StartError) as raised:
        choose_mongo({"MONGO_URI": uri}, folders, 6017)

    assert "MONGO_URI does not answer" in str(raised.value)
    assert "secret-password" not in str(raised.value)


def test_given_mongodb_is_used_and_none_is_started(tmp_path: Path, mongo_uri: str) -> None:
    with claim_folders(tmp_path, Ports(6000)) as folders:
        choice = choose_mongo({"MONGO_URI": mongo_uri}, folders, 6017)

    assert choice.uri == mongo_uri
    assert choice.command is None


def test_own_mongodb_listens_on_the_loopback_only_and_keeps_its_files_in_the_data_folder(tmp_path: Path) -> None:
    with claim_folders(tmp_path, Ports(6000)) as folders:
        choice = choose_mongo({}, folders, Ports(6000).of(MONGOD))

    assert choice.uri == "mongodb://127.0.0.1:6017/?replicaSet=rs0"
    assert choice.command is not None
    command = " ".join(choice.command)
    assert "--bind_ip 127.0.0.1" in command
    assert f"--dbpath {folders.mongod}" in command
