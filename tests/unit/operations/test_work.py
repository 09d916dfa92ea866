from __future__ import annotations

import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lockstep.errors import DiskFailed
from lockstep.operations.work import MARKER, _remove_all_but_the_marker, work_directory


def test_a_work_directory_is_private_and_goes_with_all_that_is_in_it(tmp_path: Path) -> None:
    with work_directory(tmp_path) as work:
        assert work.parent == tmp_path
        assert stat.S_IMODE(work.stat().st_mode) == 0o700
        (work / "deep" / "er").mkdir(parents=True)
    assert list(tmp_path.iterdir()) == []


def test_it_goes_after_an_error_too(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), work_directory(tmp_path):
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == []


def test_two_have_one_each(tmp_path: Path) -> None:
    with work_directory(tmp_path) as one, work_directory(tmp_path) as two:
        assert one != two
        assert one.is_dir()


@pytest.mark.parametrize("absent", ["absent", "file"])
def test_where_none_can_be_made_it_is_said_with_what_to_do(tmp_path: Path, absent: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskFailed, match="no work directory can be made in") as caught, work_directory(tmp_path / absent):
        pass
    assert "--temp-dir" in caught.value.hint


def test_what_a_killed_run_left_goes_with_the_next_one(tmp_path: Path) -> None:
    script = (
        "import os, sys, pathlib\nfrom lockstep.operations.work import work_directory\n"
        "with work_directory(pathlib.Path(sys.argv[1])) as work:\n    (work / 'left').write_text('')\n    os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path)], env={"PYTHONPATH": ":".join(sys.path)}, check=False)
    assert killed.returncode == -9
    assert len(list(tmp_path.iterdir())) == 1
    with work_directory(tmp_path) as work:
        assert list(tmp_path.iterdir()) == [work]


def test_what_was_killed_before_it_had_its_marker_or_when_it_had_none_any_more_goes_too(tmp_path: Path) -> None:
    (tmp_path / "lockstep-work-x").mkdir()
    with work_directory(tmp_path) as work:
        assert list(tmp_path.iterdir()) == [work]


def test_a_work_directory_loses_its_marker_last(tmp_path: Path) -> None:
    """Else a kill in the middle would leave files that nobody dares to remove."""
    with work_directory(tmp_path) as work:
        (work / "deep").mkdir()
        (work / "deep" / "file").write_text("")
        (work / "file").write_text("")
        (work / "link").symlink_to(tmp_path)
        _remove_all_but_the_marker(work)
        assert [path.name for path in work.iterdir()] == [MARKER]
    assert list(tmp_path.iterdir()) == []


def test_many_who_tidy_at_once_leave_each_other_their_own(tmp_path: Path) -> None:
    def use(_: int) -> bool:
        with work_directory(tmp_path) as work:
            (work / "file").write_text("")
            return (work / MARKER).exists()

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(use, range(200)))
    assert list(tmp_path.iterdir()) == []


def test_what_others_use_or_own_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "lockstep-notes").mkdir()
    (tmp_path / "other").mkdir()
    with work_directory(tmp_path) as living, work_directory(tmp_path):
        assert living.is_dir()
        assert (tmp_path / "lockstep-notes").is_dir()
        assert (tmp_path / "other").is_dir()


@pytest.mark.parametrize("name", ["lockstep-2026-prod", "lockstep-work-2026"])
def test_a_directory_that_only_has_such_a_name_is_nobodys_leftover(tmp_path: Path, name: str) -> None:
    kept = tmp_path / name / "lockstep.json"
    kept.parent.mkdir()
    kept.write_text("{}")
    with work_directory(tmp_path):
        pass
    assert kept.exists()


def test_a_marker_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "lockstep-work-x").mkdir()
    (tmp_path / "lockstep-work-x" / ".lockstep-work").symlink_to(tmp_path / "file")
    with work_directory(tmp_path):
        pass
    assert (tmp_path / "lockstep-work-x").is_dir()
