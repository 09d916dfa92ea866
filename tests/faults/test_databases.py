"""A database that misbehaves: impatient roles, locked, dropped and new tables, a standby as the source, a pooler in between."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from lockstep import steps
from lockstep.postgres.accounts import as_account, unprivileged_account
from lockstep.postgres.embedded import EmbeddedServer
from lockstep.postgres.sessions import client_environment
from support.fixture_types import Lockstep, Ran
from support.s3_proxy import Answer, S3Proxy
from support.servers import SeaweedFS
from support.waiting import wait_for, wait_until_stopped
from support.world import Deployment, World, error_of, open_world, same

STANDBY = {"wal_level": "replica", "max_wal_senders": "4", "hot_standby": "on", "max_standby_streaming_delay": "0"}


@contextmanager
def stopped_at(world: World, step: str, *command: str) -> Iterator[Callable[[], Ran]]:
    """A command that stands still at a step; what is given lets it go on and waits for its end."""
    with world.started(*command, env={steps.INTERRUPT: f"{step}:STOP"}) as process:

        def go_on() -> Ran:
            process.send_signal(signal.SIGCONT)
            out, err = process.communicate(timeout=60)
            return Ran(process.returncode, out, err)

        wait_until_stopped(process.pid)
        yield go_on


def test_timeouts_of_the_role_end_nothing_that_takes_its_time(world: World) -> None:
    source, target = world.deployment(blocks=40), world.nowhere()
    world.admin("CREATE ROLE hasty LOGIN CREATEDB PASSWORD 'hasty-secret' IN ROLE pg_read_all_data")
    for name in ("statement_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout", "transaction_timeout"):
        world.admin(f"ALTER ROLE hasty SET {name} = '700ms'")
    hasty = replace(source, database=world.postgres.address(source.dbname, user="hasty", password="hasty-secret"))
    with S3Proxy(world.s3.endpoint_url) as proxy:

        def slowly(_method: str, _path: str, ask: Callable[[], Answer]) -> Answer:
            time.sleep(0.4)
            return ask()

        proxy.answering = slowly
        options = replace(hasty, bucket=replace(source.bucket, endpoint_url=proxy.endpoint_url)).options
        with world.started("backup", *options, "--json", "--concurrency", "4", env={}) as process:
            out, err = process.communicate(timeout=60)
        ran = Ran(process.returncode, out, err)
    assert (ran.returncode, ran.json["complete"]) == (0, True), ran
    assert ran.json["objects"]["seconds"] > 2, "longer than any of the timeouts"
    restored = world.restore(
        replace(target, database=world.postgres.address(target.dbname, user="hasty", password="hasty-secret")), "--no-owner"
    )
    assert restored.returncode == 0, restored
    same(source, target)


def test_who_keeps_a_table_locked_is_named_and_nothing_is_left(world: World) -> None:
    source = world.deployment(blocks=20)
    with source.connect() as blocker:
        blocker.execute("LOCK TABLE vlob_atom IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        told = error_of(world.backup(source, "--lock-timeout", "2"), kind="table_locked")
        assert time.monotonic() - began < 30
        assert f"process {blocker.info.backend_pid} " in told
        assert "holds public.vlob_atom alone" in told
    assert world.snapshots() == []
    ran = world.backup(source)
    assert (ran.returncode, ran.json["complete"]) == (0, True), ran


@pytest.mark.parametrize("options", [(), ("--jobs", "2"), ("--workers", "2")], ids=["custom", "directory", "workers"])
def test_who_wants_to_drop_a_table_when_the_dump_begins_waits_seconds_and_the_dump_is_of_a_later_moment(
    world: World, options: tuple[str, ...]
) -> None:
    """He waits for us, and pg_dump, which comes later, for him: without a way out that ends when somebody's time is up."""
    source, target = world.deployment(blocks=20), world.nowhere()
    source.execute("CREATE TABLE leaving AS SELECT n FROM generate_series(1, 1000) n; CREATE TABLE emptied AS SELECT 1 AS n")
    with stopped_at(world, "backup.frozen", "backup", *source.options, "--json", *options) as go_on:
        others = [threading.Thread(target=source.execute, args=(each,)) for each in ("DROP TABLE leaving", "TRUNCATE emptied")]
        for each in others:
            each.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted"
        wait_for(lambda: world.admin(waiting) == [(2,)])
        source.execute("CREATE TABLE arriving AS SELECT 1 AS n")
        began = time.monotonic()
        ran = go_on()
        for each in others:
            each.join(timeout=60)
        assert time.monotonic() - began < 30, "less than the time that is allowed for locks"
    assert (ran.returncode, ran.json["complete"], ran.json["objects"]["new"]) == (0, True, 20), ran
    assert "another moment will be frozen" in ran.stderr
    assert len(world.snapshots()) == 1
    assert {name.split("/")[1] for name in world.files() if name.startswith("snapshots/")} == {ran.json["snapshot"]}
    assert world.restore(target).returncode == 0
    same(source, target)


def test_who_wants_to_drop_a_table_while_it_is_dumped_waits_until_that_is_done(world: World) -> None:
    source, target = world.deployment(blocks=20), world.nowhere()
    source.execute("CREATE TABLE leaving AS SELECT n, repeat('x', 500) FROM generate_series(1, 30000) n")
    before = source.tables()
    with stopped_at(world, "dump.chunk", "backup", *source.options, "--json", "--format", "plain") as go_on:
        dropping = threading.Thread(target=source.execute, args=("DROP TABLE leaving",))
        dropping.start()
        ran = go_on()
        dropping.join(timeout=60)
    assert (ran.returncode, ran.json["complete"]) == (0, True), ran
    assert world.restore(target).returncode == 0
    assert target.tables() == before


@pytest.mark.parametrize("statement", ["DROP TABLE leaving", "ALTER TABLE leaving RENAME TO left_behind", "ALTER TABLE leaving ADD m int"])
def test_a_table_that_goes_before_the_moment_is_no_part_of_it(world: World, statement: str) -> None:
    source, target = world.deployment(blocks=5), world.nowhere()
    source.execute("CREATE TABLE leaving AS SELECT n FROM generate_series(1, 1000) n")
    with stopped_at(world, "reclaim.done", "backup", *source.options, "--json") as go_on:
        source.execute(statement)
        ran = go_on()
    assert (ran.returncode, ran.json["complete"]) == (0, True), ran
    assert world.restore(target).returncode == 0
    same(source, target)


def test_a_table_of_the_references_that_goes_is_named_and_no_snapshot_comes_of_it(world: World) -> None:
    source = world.deployment(blocks=5)
    with stopped_at(world, "reclaim.done", "backup", *source.options, "--json") as go_on:
        source.execute("ALTER TABLE block RENAME TO block_of_old")
        told = error_of(go_on(), kind="profile_invalid")
        assert 'relation "block" does not exist' in told
    assert world.snapshots() == []


@pytest.fixture
def primary() -> Iterator[EmbeddedServer]:
    with EmbeddedServer(settings=STANDBY) as server:
        yield server


@pytest.fixture
def standby(primary: EmbeddedServer) -> Iterator[EmbeddedServer]:
    """A server that repeats what the primary does, and ends what is in its way at once."""
    account = unprivileged_account() if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="lockstep-standby-", dir="/tmp") as temporary:
        home = Path(temporary)
        (home / "password").write_text((primary.home / "password").read_text())
        if account is not None:
            os.chown(home, account.uid, account.gid)
        with psycopg.connect(primary.address().conninfo) as connection, client_environment(connection) as environment:
            command = [str(primary.bin_dir / "pg_basebackup"), "--write-recovery-conf", "--checkpoint=fast", f"--pgdata={home / 'data'}"]
            subprocess.run(command, env=environment, check=True, capture_output=True, cwd=home, **as_account(account))
        with EmbeddedServer(primary.bin_dir, home, settings=STANDBY) as server:
            yield server


def repeated(primary: EmbeddedServer, standby: EmbeddedServer) -> None:
    """Wait until the standby has all that the primary has written by now."""
    with psycopg.connect(primary.address().conninfo) as connection:
        [(written,)] = connection.execute("SELECT pg_current_wal_lsn()").fetchall()
    with psycopg.connect(standby.address().conninfo, autocommit=True) as connection:
        wait_for(lambda: connection.execute("SELECT pg_last_wal_replay_lsn() >= %s", [written]).fetchall() == [(True,)])


def test_a_standby_is_backed_up_and_a_conflict_with_what_it_repeats_is_explained(
    lockstep: Lockstep,
    lockstep_environment: dict[str, str],
    primary: EmbeddedServer,
    standby: EmbeddedServer,
    s3_server: SeaweedFS,
    tmp_path: Path,
) -> None:
    with open_world(lockstep, lockstep_environment, primary, s3_server, tmp_path) as world:
        source = world.deployment(blocks=200, size=60)
        beside = replace(source, database=standby.address(source.dbname))
        repeated(primary, standby)
        checked = world.run("check", *beside.options, "--json")
        assert "a standby" in json.dumps(checked.json), checked
        ran = world.backup(beside)
        assert (ran.returncode, ran.json["complete"], ran.json["objects"]["referenced"]) == (0, True, 200), ran
        target = world.nowhere()
        assert world.restore(target).returncode == 0
        (rows, numbers), (rows_before, numbers_before) = target.tables(), source.tables()
        assert (rows, target.objects()) == (rows_before, source.objects())
        # A standby knows of each sequence only that it is behind the next 32 numbers: none comes twice.
        assert all(0 <= (numbers[name] or 0) - (before or 0) <= 33 for name, before in numbers_before.items())
        with stopped_at(world, "backup.planned", "backup", *beside.options, "--json") as go_on:
            source.execute("DELETE FROM vlob_atom")
            source.execute("VACUUM vlob_atom")  # on the standby too: nobody may look at the rows any more
            repeated(primary, standby)
            told = error_of(go_on(), kind="database_failed")
        assert "standby" in told or "recovery" in told
        assert "hot_standby_feedback" in told
        assert len(world.snapshots()) == 1
        assert world.backup(beside).json["complete"] is True
        assert world.run("verify", "--read-data").returncode == 0


def listens(port: int) -> bool:
    with closing(socket.socket()) as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def pgbouncer(source: Deployment, directory: Path, *, mode: str) -> Iterator[str]:
    """A real pooler in front of the source; yields the address to connect to."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if program is None:
        pytest.skip("PgBouncer is not installed")
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    directory.mkdir(mode=0o755)
    known = conninfo_to_dict(source.database.conninfo)
    settings = directory / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n{source.dbname} = host={known['host']} port={known['port']} user={known['user']} password={known['password']}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = {mode}\n"
        "ignore_startup_parameters = extra_float_digits,options\n"
    )
    settings.chmod(0o644)
    account = unprivileged_account() if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="lockstep-pooler-", dir="/tmp") as temporary:
        reachable = Path(shutil.copy(settings, temporary))
        Path(temporary).chmod(0o755)
        process = subprocess.Popen([program, "-q", str(reachable)], cwd="/", stderr=subprocess.DEVNULL, **as_account(account))
        try:
            wait_for(lambda: process.poll() is not None or listens(port))
            assert process.poll() is None
            yield f"host=127.0.0.1 port={port} dbname={source.dbname} user=postgres sslmode=disable"
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_a_pooler_that_shares_processes_out_is_recognised_before_anything_is_written(world: World, tmp_path: Path, mode: str) -> None:
    source = world.deployment(blocks=5)
    with pgbouncer(source, tmp_path / "pooler", mode=mode) as address:
        pooled = replace(source, database=replace(source.database, conninfo=address))
        told = error_of(world.backup(pooled), kind="database_failed")
        assert "a connection pooler" in told
        assert "pool_mode = session" in told
    assert not world.repo_path.exists()


def test_a_pooler_that_leaves_each_session_its_process_is_no_obstacle(world: World, tmp_path: Path) -> None:
    source, target = world.deployment(blocks=5), world.nowhere()
    with pgbouncer(source, tmp_path / "pooler", mode="session") as address:
        pooled = replace(source, database=replace(source.database, conninfo=address))
        ran = world.backup(pooled)
        assert (ran.returncode, ran.json["complete"]) == (0, True), ran
    assert world.restore(target).returncode == 0
    same(source, target)
