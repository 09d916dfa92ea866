"""Kill it, stop what it works with, fill its disk: nothing half-made is left visible, and the next run goes on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from lockstep.postgres.embedded import EmbeddedServer, available_servers
from support.fixture_types import Lockstep
from support.s3_proxy import Answer, S3Proxy
from support.servers import SeaweedFS
from support.waiting import dump_that_waits
from support.world import Deployment, World, children_of, error_of, open_world, same


def slowed(source: Deployment, proxy: S3Proxy, *, seconds: float) -> Deployment:
    """The deployment behind a store that takes its time for each object."""

    def answering(method: str, _path: str, ask: Callable[[], Answer]) -> Answer:
        if method in {"GET", "PUT"}:
            time.sleep(seconds)
        return ask()

    proxy.answering = answering
    return replace(source, bucket=replace(source.bucket, endpoint_url=proxy.endpoint_url))


def journalled(world: World) -> bool:
    return any(name.startswith("inventory/") for name in world.files())


def test_a_first_backup_that_is_killed_again_and_again_ends_whole(world: World) -> None:
    source, chance = world.deployment(blocks=3000, size=(1, 400)), random.Random(7)
    killed = 0
    for _ in range(3):
        with world.started("backup", *source.options) as process:
            try:
                process.wait(timeout=chance.uniform(0.7, 2.2))
            except subprocess.TimeoutExpired:
                killed += 1
                process.kill()
                process.wait()
                reap(process.pid)
        half_made = world.run("list", "--json")  # without a repository in the first moments
        assert half_made.json.get("snapshots", []) == [] or process.returncode == 0
    assert killed
    ran = world.backup(source)
    assert ran.returncode == 0, ran
    assert ran.json["complete"] is True
    assert ran.json["objects"]["referenced"] == 3000
    check_tidy(world, snapshots=len(world.snapshots()))
    target = world.nowhere()
    restored = world.restore(target)
    assert restored.returncode == 0, restored
    assert target.tables() == source.tables()
    assert target.objects() == source.filled.objects


@pytest.mark.parametrize("moment", ["objects", "end"])
def test_a_killed_backup_is_resumed_where_it_was(world: World, moment: str) -> None:
    source = world.deployment(blocks=200, size=50)
    with S3Proxy(world.s3.endpoint_url) as proxy:
        slow = slowed(source, proxy, seconds=0.6 if moment == "objects" else 0.0)
        waiting = dump_that_waits(source) if moment == "end" else nullcontext()  # all objects are there, the dump is not
        with waiting, world.started("backup", *slow.options, "--concurrency", "16") as process:
            wait_for(lambda: journalled(world) and (moment == "objects" or proxy.counts["GET"] >= 200), seconds=30)
            time.sleep(0.3)
            assert process.poll() is None, process.communicate()
            process.kill()
            process.wait()
            reap(process.pid)
        assert world.snapshots() == []
        copied = proxy.counts["GET"]
        proxy.counts.clear()
        proxy.answering = lambda _method, _path, ask: ask()
        ran = world.backup(slow)
        assert ran.returncode == 0, ran
        assert (ran.json["objects"]["referenced"], ran.json["complete"]) == (200, True)
        assert proxy.counts["GET"] == ran.json["requests"]["get"] < 200
        assert proxy.counts["GET"] + copied <= 200 + copied * 3 // 4  # at least a quarter of the work was not lost
    check_tidy(world, snapshots=1)
    target = world.nowhere()
    assert world.restore(target).returncode == 0
    same(source, target)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("options", [(), ("--jobs", "2")], ids=["custom", "directory"])
def test_a_signal_stops_a_backup_soon_and_leaves_it_tidy(world: World, number: signal.Signals, options: tuple[str, ...]) -> None:
    source = world.deployment(blocks=300)
    with S3Proxy(world.s3.endpoint_url) as proxy, dump_that_waits(source):
        slow = slowed(source, proxy, seconds=0.1)
        with world.started("backup", *slow.options, "--json", *options) as process:
            wait_for(lambda: proxy.counts["GET"] > 20 and any("pg_dump" in words for words in commands_below(process.pid)))
            family = {pid: command_of(pid) for pid in children_of(process.pid)}
            process.send_signal(number)
            began = time.monotonic()
            stdout, stderr = process.communicate(timeout=20)
        assert time.monotonic() - began < 10
        assert process.returncode == 128 + number, stderr
        assert "Traceback" not in stderr
        assert "the next run resumes" in stderr
        assert stdout == ""
        assert not [commands for pid, commands in family.items() if alive(pid)]
    check_tidy(world, snapshots=0)
    ran = world.backup(source, *options)
    assert ran.returncode == 0, ran
    check_tidy(world, snapshots=1)


def test_two_signals_in_a_row_are_no_worse_than_one(world: World) -> None:
    source = world.deployment(blocks=300)
    with S3Proxy(world.s3.endpoint_url) as proxy:
        slow = slowed(source, proxy, seconds=0.1)
        with world.started("backup", *slow.options) as process:
            wait_for(lambda: proxy.counts["GET"] > 20)
            for _ in range(4):
                if process.poll() is None:
                    process.send_signal(signal.SIGINT)
                time.sleep(0.15)
            _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130, stderr
    ran = world.backup(source)
    assert ran.returncode == 0, ran
    check_tidy(world, snapshots=1)


def test_postgresql_that_crashes_in_the_middle_ends_a_backup_with_one_sentence(
    lockstep: Lockstep, lockstep_environment: dict[str, str], s3_server: SeaweedFS, tmp_path: Path
) -> None:
    with (
        EmbeddedServer(available_servers()[18], tmp_path / "postgres") as server,
        open_world(lockstep, lockstep_environment, server, s3_server, tmp_path) as world,
    ):
        source = world.deployment(blocks=200, size=100)
        with suppress(psycopg.Error), dump_that_waits(source), S3Proxy(s3_server.endpoint_url) as proxy:
            slow = slowed(source, proxy, seconds=0.05)
            with world.started("backup", *slow.options, "--json") as process:
                wait_for(lambda: proxy.counts["GET"] > 20 and any("pg_dump" in words for words in commands_below(process.pid)))
                server.halt(at_once=True)
                stdout, stderr = process.communicate(timeout=60)
        check_failure(process.returncode, stdout, stderr, kinds={"database_unreachable"})
        check_tidy(world, snapshots=0)
        port = server.port
        server.start()
        if server.port != port:
            source = replace(source, database=server.address(source.dbname))
        ran = world.backup(source)
        assert ran.returncode == 0, ran
        target = world.nowhere()
        assert world.restore(target).returncode == 0
        same(source, target)


def test_a_store_that_goes_away_in_the_middle_ends_a_backup_and_a_restore_with_one_sentence(
    lockstep: Lockstep, lockstep_environment: dict[str, str], postgres_server: EmbeddedServer, tmp_path: Path
) -> None:
    with SeaweedFS(tmp_path / "store") as store, open_world(lockstep, lockstep_environment, postgres_server, store, tmp_path) as own:
        source = own.deployment(blocks=300, size=100)
        with S3Proxy(store.endpoint_url) as proxy:
            slow = slowed(source, proxy, seconds=0.05)
            with own.started("backup", *slow.options, "--json") as process:
                wait_for(lambda: proxy.counts["GET"] > 30)
                store.stop()
                proxy.answering = lambda _method, _path, _ask: Answer(502, {}, b"", cut=True)
                stdout, stderr = process.communicate(timeout=120)
        check_failure(process.returncode, stdout, stderr, kinds={"store_unreachable"})
        check_tidy(own, snapshots=0)
        store.start()
        ran = own.backup(source)
        assert ran.returncode == 0, ran
        assert ran.json["requests"]["get"] < 300

        target = own.nowhere()
        databases = own.databases()
        with S3Proxy(store.endpoint_url) as proxy:
            slow = slowed(target, proxy, seconds=0.05)
            with own.started("restore", "latest", *slow.options, "--json") as process:
                wait_for(lambda: proxy.counts["PUT"] > 30)
                proxy.answering = lambda _method, _path, _ask: Answer(502, {}, b"", cut=True)
                stdout, stderr = process.communicate(timeout=120)
        check_failure(process.returncode, stdout, stderr, kinds={"store_unreachable"})
        assert own.databases() == databases
        ran = own.restore(target)
        assert ran.returncode == 0, ran
        assert ran.json["objects"]["already_there"] > 0
        same(source, target)


@pytest.mark.parametrize("what", ["objects", "dump"])
def test_a_full_disk_ends_a_backup_with_one_sentence(world: World, small_disk: Path, what: str) -> None:
    source = world.deployment(blocks=100, size=50_000 if what == "objects" else 100)
    if what == "dump":
        source.execute(
            "CREATE TABLE noise AS SELECT n, string_agg(md5(random()::text), '') AS t "
            "FROM generate_series(1, 8000) n, generate_series(1, 30) GROUP BY n"
        )
    world.repo = str(small_disk / "repository")
    ran = world.backup(source)
    told = error_of(ran, kind="disk_failed")
    assert "full" in told or "room" in told
    check_tidy(world, snapshots=0)
    ran = world.backup(source)  # still full: still one sentence, still sound
    error_of(ran, kind="disk_failed")
    subprocess.run(["mount", "-o", "remount,size=40m", str(small_disk)], check=True)
    ran = world.backup(source)
    assert ran.returncode == 0, ran
    check_tidy(world, snapshots=1)
    target = world.nowhere()
    assert world.restore(target).returncode == 0
    same(source, target)


def test_a_restore_that_is_killed_leaves_the_target_as_it_was(world: World) -> None:
    source, target = world.deployment(blocks=200, vlobs=600), world.nowhere()
    world.new_database(target.dbname)
    target.execute("CREATE TABLE precious AS SELECT 42 AS n")
    world.backup(source)
    rows = target.tables()
    with S3Proxy(world.s3.endpoint_url) as proxy:
        slow = slowed(target, proxy, seconds=0.05)
        with world.started("restore", "latest", *slow.options, "--replace") as process:
            wait_for(lambda: proxy.counts["PUT"] > 20)
            process.kill()
            process.wait()
            reap(process.pid)
    assert target.tables() == rows
    with world.started("restore", "latest", *target.options, "--replace") as process:
        wait_for(lambda: any(name.startswith(f"{target.dbname}_lockstep_") for name in world.databases()))
        process.kill()
        process.wait()
        reap(process.pid)
    assert target.tables() == rows
    ran = world.restore(target, "--replace")
    assert ran.returncode == 0, ran
    assert ran.json["objects"]["already_there"] == 200
    same(source, target)
    left = {name for name in world.databases() if name.startswith(f"{target.dbname}_")}
    assert left == {ran.json["database"]["replaced"]}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_a_restore_soon_and_leaves_the_target_as_it_was(world: World, number: signal.Signals) -> None:
    source, target = world.deployment(blocks=20), world.nowhere()
    source.execute("CREATE FUNCTION slow() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN 1; END $$")
    source.execute("CREATE MATERIALIZED VIEW waits AS SELECT slow() AS n WITH NO DATA")
    source.execute("UPDATE pg_class SET relispopulated = true WHERE relname = 'waits'")  # so that the restore refreshes it
    ran = world.backup(source)
    assert ran.returncode == 0, ran
    databases = world.databases()
    with world.started("restore", "latest", *target.options, "--json") as process:
        wait_for(lambda: bool(world.admin("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'")))
        family = children_of(process.pid)
        assert family
        process.send_signal(number)
        began = time.monotonic()
        stdout, stderr = process.communicate(timeout=30)
    assert time.monotonic() - began < 10
    assert process.returncode == 128 + number, stderr
    assert "Traceback" not in stderr
    assert stdout == ""
    assert not [pid for pid in family if alive(pid)]
    assert world.databases() == databases


def check_tidy(world: World, *, snapshots: int) -> None:
    """As many snapshots as said, nothing half-made that anybody could take for one, no lock."""
    listed = world.snapshots()
    assert len(listed) == snapshots
    files = world.files()
    assert {name.split("/")[1] for name in files if name.startswith("snapshots/")} == {each["snapshot"] for each in listed}
    assert not [name for name in files if name.startswith("locks/")]


def check_failure(status: int, stdout: str, stderr: str, *, kinds: set[str]) -> None:
    from support.fixture_types import Ran

    ran = Ran(status, stdout, stderr)
    error_of(ran)
    assert ran.json["error"]["kind"] in kinds, ran


def wait_for(condition: Callable[[], bool], *, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.01)


def commands_below(pid: int) -> list[str]:
    return [command_of(child) for child in children_of(pid)]


def command_of(pid: int) -> str:
    """The arguments that everybody on the machine can see."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def reap(pid: int) -> None:
    """End what a killed run left running, as the end of its session would: found by the session that it led."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == pid:
            try:
                os.kill(int(stat.parent.name), signal.SIGKILL)
            except ProcessLookupError:
                continue
