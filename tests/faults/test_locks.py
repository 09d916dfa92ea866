"""Two at once, and locks that nobody holds any more, through the command line."""

from __future__ import annotations

import os
import pty
import time
from collections.abc import Callable

from support.fixture_types import Ran
from support.kills import a_victim
from support.s3_proxy import Answer, S3Proxy
from support.world import World, error_of


def test_a_living_backup_is_shown_refused_and_overruled(world: World) -> None:
    source = world.deployment(blocks=30)
    assert world.backup(source).returncode == 0
    with source.connect() as blocker:
        blocker.execute("LOCK TABLE vlob_atom IN ACCESS EXCLUSIVE MODE")
        with world.started("backup", *source.options, "--json") as process:
            wait_for_lock(world)
            shown = world.run("unlock", "--dry-run", "--json")
            [lock] = shown.json["locks"]
            assert (shown.returncode, lock["operation"], lock["pid"], lock["lives"], lock["removed"]) == (
                0,
                "backup",
                process.pid,
                True,
                False,
            )
            told = error_of(world.run("unlock", "--json"), status=4, kind="repository_locked")
            assert f"a running backup (process {process.pid} on " in told
            assert "locked by a running backup" in error_of(world.backup(source), status=4)
            assert world.run("list", "--json").returncode == 0
            forced = world.run("unlock", "--force", "--json")
            assert (forced.returncode, forced.json["locks"][0]["removed"]) == (0, True)
            blocker.rollback()
            stdout, stderr = process.communicate(timeout=60)
    told = error_of(Ran(process.returncode, stdout, stderr), status=4, kind="repository_locked")
    assert "took the lock" in told
    assert len(world.snapshots()) == 1
    assert world.run("unlock", "--json").json == {"locks": []}
    assert world.backup(source).returncode == 0
    assert world.run("verify", "--read-data").returncode == 0


def test_the_lease_of_a_killed_backup_on_this_machine_is_taken_over_at_once_and_it_is_said_from_whom(world: World) -> None:
    source = world.deployment(blocks=30)
    repo = f"s3://{world.s3.create_bucket()}/backups"
    with a_victim(world) as victim:
        ran, _ = victim.run("backup", *source.options, repo=repo, at="backup.frozen:KILL")
        assert ran.returncode == -9, ran
        began = time.monotonic()
        ran, _ = victim.run("backup", *source.options, "--json", repo=repo)
        assert ran.returncode == 0, ran
        assert time.monotonic() - began < 30, "less than the lease of a holder elsewhere"
        assert "took over the lock of a dead backup (process " in ran.stderr


def test_a_terminal_that_is_closed_stops_a_backup(world: World) -> None:
    source = world.deployment(blocks=300)
    with S3Proxy(world.s3.endpoint_url) as proxy:
        proxy.answering = slowly
        options = ["--database", source.database.conninfo, "--bucket", source.bucket.url, "--endpoint-url", proxy.endpoint_url]
        pid, terminal = pty.fork()
        if pid == 0:
            os.environ.update({**world.environment, **world.keys})
            os.execvp("lockstep", ["lockstep", "backup", "--repo", world.repo, *options])
        while proxy.counts["GET"] < 20:
            os.read(terminal, 1000)
        os.close(terminal)
        began = time.monotonic()
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert (status, time.monotonic() - began < 10) == (129, True)
    assert world.snapshots() == []
    assert not [name for name in world.files() if name.startswith("locks/")]
    assert world.backup(source).returncode == 0


def slowly(_method: str, _path: str, ask: Callable[[], Answer]) -> Answer:
    time.sleep(0.1)
    return ask()


def wait_for_lock(world: World) -> None:
    deadline = time.monotonic() + 30
    while not (world.repo_path / "locks" / "writer.lock").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
