"""A frozen view, its siblings and the dump of it see one moment; what goes wrong on the way is told in one sentence."""

# ruff: noqa: PT012, SIM117 - what must raise is the whole life of a dump
from __future__ import annotations

import csv
import io
import signal
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from lockstep.errors import ClientToolFailed, DatabaseFailed, DatabaseUnreachable, DiskFailed, PermissionMissing, TableLocked
from lockstep.postgres.connection import open_database
from lockstep.postgres.dump import dump_to_directory, dump_to_stream
from lockstep.postgres.embedded import EmbeddedServer
from lockstep.postgres.errors import sqlstate
from lockstep.postgres.programs import Programs, find_programs
from support.postgres_samples import SAMPLE, FreshDatabase, ServerOf, as_user, execute


def test_rows_written_after_the_freeze_are_in_no_view_of_it(server: EmbeddedServer, fresh_database: FreshDatabase) -> None:
    address = fresh_database(server, "CREATE TABLE t AS SELECT 1 AS a")
    with open_database(address) as database, database.frozen() as view:
        execute(address, "INSERT INTO t VALUES (2)")
        with view.sibling() as sibling:
            assert sibling.row_counts() == view.row_counts() == {"public.t": 1}
        with dump_to_stream(view, find_programs(address, database.server_major), format="plain") as stream:
            text = b"".join(stream.chunks())
        assert b"COPY public.t (a) FROM stdin;\n1\n\\.\n" in text
        assert b"".join(view.copy_csv("SELECT a FROM t", ["a"])) == b"1\n"
        assert database.rows("SELECT count(*) FROM t") == [(2,)]


def test_the_moment_is_told_in_utc_by_the_servers_clock(server: EmbeddedServer, fresh_database: FreshDatabase) -> None:
    address = fresh_database(server)
    before = datetime.now(UTC)
    with open_database(address) as database, database.frozen() as view:
        assert view.at.tzinfo is UTC
        assert timedelta(0) <= view.at - before < timedelta(seconds=5)


def test_csv_blocks_keep_every_odd_value(server: EmbeddedServer, fresh_database: FreshDatabase) -> None:
    values = ["plain", "", 'quo"te', "new\nline", "é", "com,ma", " space ", "tab\t", "{brace}", "100%"]
    address = fresh_database(server, "CREATE TABLE t (n int, v text)")
    with psycopg.connect(address.conninfo) as connection:
        connection.cursor().executemany("INSERT INTO t VALUES (%s, %s)", list(enumerate(values)))
        connection.execute("INSERT INTO t VALUES (99, NULL)")
    query = "SELECT v, n, '{x}' AS brace FROM t WHERE v IS NULL OR v LIKE '%' ORDER BY n ; -- a comment\n;"
    with open_database(address) as database, database.frozen() as view:
        data = b"".join(view.copy_csv(query.replace("; -- a comment\n;", "-- a comment"), ["n", "v"]))
        assert view.columns("SELECT n, v, n::bigint AS b FROM t;") == [("n", "integer"), ("v", "text"), ("b", "bigint")]
    rows = list(csv.reader(io.StringIO(data.decode(), newline="")))
    assert [row[1] for row in rows] == [*values, ""]
    assert data.endswith(b"99,\n")
    assert b'\n1,""\n' in data


def test_blocks_are_large_and_hold_every_row(server: EmbeddedServer, fresh_database: FreshDatabase) -> None:
    address = fresh_database(server)
    with open_database(address) as database, database.frozen() as view:
        blocks = list(view.copy_csv("SELECT 'org/' || md5(n::text) AS key, n AS size FROM generate_series(1, 60000) n", ["key", "size"]))
    assert all(len(block) >= 256 * 1024 for block in blocks[:-1])
    assert all(block.endswith(b"\n") for block in blocks)
    assert sum(block.count(b"\n") for block in blocks) == 60_000


def test_a_failing_query_is_an_error_and_the_view_goes_on(server: EmbeddedServer, fresh_database: FreshDatabase) -> None:
    address = fresh_database(server)
    with open_database(address) as database, database.frozen() as view:
        with pytest.raises(DatabaseFailed, match='relation "nothing" does not exist') as raised:
            list(view.copy_csv("SELECT key FROM nothing", ["key"]))
        assert sqlstate(raised.value) == "42P01"
        with pytest.raises(DatabaseFailed, match="division by zero"):
            list(view.copy_csv("SELECT 1 / (n - 50000) AS key FROM generate_series(1, 60000) n", ["key"]))
        with pytest.raises(DatabaseFailed, match="read-only transaction"):
            view.rows("CREATE TABLE t (a int)")
        with pytest.raises(DatabaseFailed, match="read-only transaction"):
            database.rows("CREATE TABLE t (a int)")
        blocks = view.copy_csv("SELECT n AS key FROM generate_series(1, 1000000) n", ["key"])
        next(blocks)
        blocks.close()
        assert view.rows("SELECT 1") == [(1,)]


def test_a_session_that_ends_while_rows_are_copied_out_is_an_error(server: EmbeddedServer, fresh_database: FreshDatabase) -> None:
    address = fresh_database(server)
    with open_database(address) as database, database.frozen() as view:
        blocks = view.copy_csv("SELECT n AS key, repeat('x', 1000) AS size FROM generate_series(1, 1000000) n", ["key", "size"])
        next(blocks)
        execute(address, f"SELECT pg_terminate_backend({view.connection.info.backend_pid})")
        with pytest.raises(DatabaseUnreachable):
            list(blocks)


def test_a_missing_privilege_on_one_table_is_named_by_dump_counts_and_copy(server: EmbeddedServer, fresh_database: FreshDatabase) -> None:
    address = fresh_database(server, "CREATE TABLE open_one AS SELECT 1 AS a; CREATE TABLE closed_one AS SELECT 1 AS a")
    name = f"reader_{server.port}"
    execute(address, f"CREATE ROLE {name} LOGIN PASSWORD 'not-telling'; GRANT SELECT ON open_one TO {name}")
    try:
        with open_database(as_user(address, name, "not-telling")) as database, database.frozen() as view:
            programs = find_programs(address, database.server_major)
            with pytest.raises(PermissionMissing, match=f'the user "{name}" may not read table "closed_one"') as raised:
                with dump_to_stream(view, programs) as stream:
                    list(stream.chunks())
            assert f"GRANT pg_read_all_data TO {name}" in raised.value.hint
            with pytest.raises(PermissionMissing, match="permission denied for table closed_one"):
                view.row_counts()
            with pytest.raises(PermissionMissing):
                list(view.copy_csv("SELECT a FROM closed_one", ["a"]))
    finally:
        execute(address, f"DROP OWNED BY {name}; DROP ROLE {name}")


def test_a_row_level_policy_fails_the_backup_instead_of_thinning_it(server_of: ServerOf, fresh_database: FreshDatabase) -> None:
    address = fresh_database(server_of(18), "CREATE TABLE t AS SELECT 1 AS a; ALTER TABLE t ENABLE ROW LEVEL SECURITY")
    execute(address, "CREATE ROLE blinkered LOGIN PASSWORD 'not-telling'; GRANT SELECT ON t TO blinkered")
    try:
        with open_database(as_user(address, "blinkered", "not-telling")) as database, database.frozen() as view:
            with pytest.raises(PermissionMissing, match="row-level"):
                view.row_counts()
            with (
                pytest.raises(PermissionMissing, match='hides rows of table "t"'),
                dump_to_stream(view, find_programs(address, 18)) as stream,
            ):
                list(stream.chunks())
    finally:
        execute(address, "DROP OWNED BY blinkered; DROP ROLE blinkered")


def test_a_locked_table_ends_the_dump_with_its_reason(server_of: ServerOf, fresh_database: FreshDatabase) -> None:
    address = replace(fresh_database(server_of(18), SAMPLE), lock_timeout_seconds=1)
    with open_database(address) as database, database.frozen() as view, psycopg.connect(address.conninfo) as migration:
        migration.execute("LOCK TABLE block")
        with pytest.raises(TableLocked, match="a table stayed locked"), dump_to_stream(view, find_programs(address, 18)) as stream:
            list(stream.chunks())


def test_a_caller_that_gives_up_ends_pg_dump(server_of: ServerOf, fresh_database: FreshDatabase) -> None:
    address = fresh_database(server_of(18), SAMPLE)
    with open_database(address) as database, database.frozen() as view:
        with pytest.raises(KeyError), dump_to_stream(view, find_programs(address, 18)) as stream:
            process = stream._child.process
            raise KeyError
        assert process.returncode == -signal.SIGTERM


def test_a_pg_dump_that_is_killed_is_an_error(server_of: ServerOf, fresh_database: FreshDatabase) -> None:
    address = fresh_database(server_of(18), SAMPLE)
    with open_database(address) as database, database.frozen() as view:
        with (
            pytest.raises(ClientToolFailed, match="pg_dump was killed by SIGKILL"),
            dump_to_stream(view, find_programs(address, 18)) as stream,
        ):
            stream._child.kill()
            list(stream.chunks())


def test_a_moment_that_has_melted_cannot_be_dumped(server_of: ServerOf, fresh_database: FreshDatabase) -> None:
    address = fresh_database(server_of(18), SAMPLE)
    with open_database(address) as database, database.frozen() as view:
        view.connection.rollback()
        with pytest.raises(DatabaseFailed, match="the frozen moment is not known to the server") as raised:
            with dump_to_stream(view, find_programs(address, 18)) as stream:
                list(stream.chunks())
        assert "pooler" in raised.value.hint
        with pytest.raises(DatabaseFailed) as second, view.sibling():
            pass
        assert "pooler" in second.value.hint


def test_a_server_that_goes_away_during_the_dump_is_named(fresh_database: FreshDatabase, server_of: ServerOf) -> None:
    address = fresh_database(server_of(18), "CREATE TABLE t AS SELECT md5(n::text) FROM generate_series(1, 400000) n")
    with open_database(address) as database, database.frozen() as view:
        with pytest.raises(DatabaseUnreachable, match="the server ended the connection"):
            with dump_to_stream(view, find_programs(address, 18), compression="0") as stream:
                chunks = stream.chunks()
                next(chunks)
                execute(server_of(18).address(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY%'")
                list(chunks)


def test_an_older_pg_dump_is_refused_before_it_runs(server_of: ServerOf, fresh_database: FreshDatabase) -> None:
    address = fresh_database(server_of(18))
    with open_database(address) as database, database.frozen() as view:
        with pytest.raises(ClientToolFailed, match=r"pg_dump 15\.20 cannot dump a server of version 18"):
            with dump_to_stream(view, Programs(Path("/nowhere"), 15, "15.20")):
                pass


def test_a_directory_that_is_not_empty_is_left_alone(server_of: ServerOf, fresh_database: FreshDatabase, tmp_path: Path) -> None:
    (tmp_path / "something").touch()
    address = fresh_database(server_of(18))
    with open_database(address) as database, database.frozen() as view, pytest.raises(DiskFailed, match="is not empty"):
        dump_to_directory(view, find_programs(address, 18), tmp_path)


def test_a_session_that_the_server_ended_is_opened_again(server_of: ServerOf, fresh_database: FreshDatabase) -> None:
    address = fresh_database(server_of(18))
    with open_database(address) as database:
        execute(
            server_of(18).address(),
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database.name}' AND pid <> pg_backend_pid()",
        )
        with pytest.raises(DatabaseUnreachable):
            database.rows("SELECT 1")
        assert database.rows("SELECT 1") == [(1,)]
