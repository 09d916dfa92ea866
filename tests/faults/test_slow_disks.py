"""A disk that is slow, or stands still for a while: what is done on it ends rightly, keeps its lock, and can be stopped."""

from __future__ import annotations

import json
import signal
import time

import pytest

from lockstep import steps
from support.slow_disk import SlowDisk, waits_in_the_kernel
from support.waiting import wait_for, wait_until_stopped
from support.world import World, error_of, same

SLOW = 400_000
"""Bytes a second: a memory card, or a disk of the network that many share."""

SOON_SECONDS = 10


def tidy(world: World) -> None:
    """No lock, and nothing of snapshots that are none."""
    listed, files = world.snapshots(), world.files()
    assert {name.split("/")[1] for name in files if name.startswith("snapshots/")} == {each["snapshot"] for each in listed}
    assert not [name for name in files if name.startswith("locks/")]


def test_on_a_slow_disk_backup_verify_and_restore_end_rightly_and_the_lock_is_kept(world: World, slow_disk: SlowDisk) -> None:
    source, target = world.deployment(blocks=120, size=(10_000, 30_000)), world.nowhere()
    world.repo, temporary = str(slow_disk.place / "repository"), ["--temp-dir", str(slow_disk.place)]
    slow_disk.throttle(write=SLOW, read=SLOW)
    began = time.monotonic()
    with world.started("backup", *source.options, "--json", *temporary) as process:
        wait_for(lambda: waits_in_the_kernel(process.pid))
        assert "a running backup" in error_of(world.backup(source), status=4, kind="repository_locked")
        assert world.run("list", "--json").json.get("snapshots") == []
        stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert json.loads(stdout)["complete"] is True
    assert time.monotonic() - began > 120 * 20_000 / SLOW / 2, "the disk was slow"
    for command in (("verify", "--read-data", "--json"), ("restore", "latest", *target.options, "--json")):
        slow_disk.forget()
        began = time.monotonic()
        ran = world.run(*command, *temporary)
        assert ran.returncode == 0, ran
        assert time.monotonic() - began > 120 * 20_000 / SLOW / 2, "the disk was slow"
    same(source, target)
    tidy(world)


def test_while_the_temporary_files_stand_still_the_lease_of_a_bucket_goes_on(world: World, slow_disk: SlowDisk) -> None:
    """For longer than a lease lasts: whoever watches it meanwhile is refused, and the run ends well."""
    source = world.deployment(blocks=50)
    world.repo = f"s3://{world.s3.create_bucket()}/backups"
    env = {"LOCKSTEP_REPO_ENDPOINT_URL": world.s3.endpoint_url}
    arguments = ("backup", *source.options, "--json", "--temp-dir", str(slow_disk.place))
    with world.started(*arguments, env={**env, steps.INTERRUPT: "backup.frozen:STOP"}) as process:
        wait_until_stopped(process.pid)
        with slow_disk.standing_still():
            process.send_signal(signal.SIGCONT)
            wait_for(lambda: waits_in_the_kernel(process.pid))
            time.sleep(45)
            assert waits_in_the_kernel(process.pid)
            told = error_of(world.backup(source, env=env), status=4, kind="repository_locked")
            assert f"a running backup (process {process.pid} on " in told
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert (json.loads(stdout)["complete"], json.loads(stdout)["faults"]) == (True, {})
    assert world.run("verify", "--read-data", env=env).returncode == 0
    assert world.run("unlock", "--json", env=env).json == {"locks": []}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", ["object.copied", "dump.chunk", "commit.signed"])
def test_a_stop_does_not_wait_for_a_disk_that_takes_20_seconds(
    world: World, slow_disk: SlowDisk, number: signal.Signals, step: str
) -> None:
    source, target = world.deployment(blocks=160, size=(2_000, 3_000)), world.nowhere()
    world.repo = str(slow_disk.place / "repository")
    slow_disk.throttle(write=SLOW)
    with world.started("backup", *source.options, "--json", env={steps.INTERRUPT: f"{step}:STOP"}) as process:
        wait_until_stopped(process.pid)
        (slow_disk.place / "others").write_bytes(bytes(20 * SLOW))  # which every flush of the disk waits for
        process.send_signal(signal.SIGCONT)
        wait_for(lambda: waits_in_the_kernel(process.pid))
        time.sleep(0.5)
        assert waits_in_the_kernel(process.pid)
        began = time.monotonic()
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=120)
        took = time.monotonic() - began
    assert (process.returncode, stdout) == (128 + number, ""), stderr
    assert "Traceback" not in stderr
    assert took < SOON_SECONDS
    slow_disk.throttle()
    assert world.snapshots() == []
    ran = world.backup(source)
    assert (ran.returncode, ran.json["complete"]) == (0, True), ran
    assert world.run("verify", "--read-data").returncode == 0
    assert world.restore(target).returncode == 0
    same(source, target)
    tidy(world)
