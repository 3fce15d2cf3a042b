from pathlib import Path

import pytest

from local_mesh.cli import main


def test_what_prevents_the_start_is_one_line_and_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PORT_BASE", "abc")

    assert main(["--root", str(tmp_path)]) == 1

    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("cannot run: PORT_BASE is 'abc'")
    assert list(tmp_path.iterdir()) == []
