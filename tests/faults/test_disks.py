"""A disk that is too small, full, read-only or taken away, under the repository and the temporary files: one sentence, nothing left."""

from __future__ import annotations

import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from lockstep import steps
from support.fixture_types import Ran
from support.waiting import wait_until_stopped
from support.world import World, error_of


def mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *arguments], check=True)


def test_what_does_not_fit_is_refused_before_anything_is_copied(world: World, small_disk: Path) -> None:
    source = world.deployment(blocks=100, size=50_000)
    world.repo = str(small_disk / "repository")
    told = error_of(world.backup(source), kind="disk_failed")
    assert "there is no room: 'file:///" in told
    assert "what is new takes 5000000" in told
    assert not [name for name in world.files() if not name.startswith("lockstep.json")]
    mount("-o", "remount,size=40m", small_disk)
    assert world.backup(source).json["complete"] is True


def test_a_mirror_that_is_too_small_is_refused_before_anything_is_copied(world: World, small_disk: Path) -> None:
    assert world.backup(world.deployment(blocks=100, size=50_000)).returncode == 0
    told = error_of(world.run("copy", str(small_disk / "mirror"), "--json"), kind="disk_failed")
    assert "there is no room" in told
    assert not (small_disk / "mirror" / "objects").exists()


def test_temporary_files_that_do_not_fit_leave_nothing_behind(world: World, small_disk: Path) -> None:
    source = world.deployment(blocks=3000, size=10)
    with suppress(OSError), (small_disk / "filler").open("wb", buffering=0) as filler:
        while filler.write(bytes(4096)):
            continue
    told = error_of(world.backup(source, "--temp-dir", str(small_disk)), kind="disk_failed")
    assert str(small_disk) in told or "temporary" in told
    assert [path.name for path in small_disk.iterdir()] == ["filler"]
    assert world.snapshots() == []
    assert world.backup(source).json["complete"] is True


def test_a_read_only_disk_can_be_read_and_not_written(world: World, small_disk: Path) -> None:
    source, target = world.deployment(blocks=10), world.nowhere()
    world.repo = str(small_disk / "repository")
    assert world.backup(source).returncode == 0
    before = world.files()
    mount("-o", "remount,ro", small_disk)
    try:
        for command in (("backup", *source.options), ("prune", "--keep-last", "1", "--yes")):
            error_of(world.run(*command, "--json"), kind="disk_failed")
        assert world.run("verify", "--read-data", "--json").json["ok"] is True
        assert world.restore(target).json["consistent"] is True
        assert len(world.snapshots()) == 1
        assert world.files() == before
    finally:
        mount("-o", "remount,rw", small_disk)
    assert world.backup(source).returncode == 0


@pytest.mark.parametrize("step", ["backup.planned", "object.copied", "commit.signed"])
def test_a_disk_that_is_taken_away_ends_a_backup_and_nothing_is_written_where_it_was(world: World, small_disk: Path, step: str) -> None:
    source, elsewhere = world.deployment(blocks=60, size=300), world.tmp_path / "elsewhere"
    elsewhere.mkdir()
    mount("--bind", small_disk, elsewhere)  # so that the disk lives on when it is taken away from its place
    try:
        world.repo = str(small_disk / "repository")
        (small_disk / "repository").mkdir()
        with world.started("backup", *source.options, "--json", env={steps.INTERRUPT: f"{step}:STOP"}) as process:
            wait_until_stopped(process.pid)
            subprocess.run(["umount", "-l", str(small_disk)], check=True)
            process.send_signal(signal.SIGCONT)
            ran = Ran(0, *process.communicate(timeout=60))
        told = error_of(Ran(process.returncode, ran.stdout, ran.stderr), kind="disk_failed")
        assert "taken away" in told
        assert list(small_disk.iterdir()) == [], "nothing lies where the disk was mounted"
        mount("--bind", elsewhere, small_disk)
        assert world.backup(source).json["complete"] is True
        assert world.run("verify", "--read-data").returncode == 0
    finally:
        subprocess.run(["umount", "-l", str(elsewhere)], check=True)
