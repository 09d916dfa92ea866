"""Connecting: what libpq understands, and one sentence for every way in which a server refuses."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import psycopg
import pytest

from lockstep.errors import ConfigurationError, DatabaseUnreachable, LockstepError, PermissionMissing
from lockstep.model.addresses import DatabaseAddress
from lockstep.postgres.connection import connect, open_database
from lockstep.postgres.dump import dump_to_stream
from lockstep.postgres.embedded import EmbeddedServer
from lockstep.postgres.programs import find_programs
from lockstep.postgres.sessions import client_environment
from support.postgres_samples import FreshDatabase, ServerOf, as_user, execute

SECRET = "hunter2-the-password"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"password": SECRET}, "the password is wrong or missing"),
        ({"dbname": "nothing"}, "the database does not exist"),
        ({"port": "1"}, "nothing listens there"),
        ({"host": "no-such-host.invalid"}, "the host is unknown"),
        ({"host": "/nowhere"}, "there is no server socket there"),
        ({"sslmode": "require"}, "there is a problem with TLS"),
    ],
)
def test_a_refused_connection_names_server_database_and_user_and_the_reason(change: dict[str, str], says: str, server_of: ServerOf) -> None:
    server = server_of(18)
    address = DatabaseAddress(psycopg.conninfo.make_conninfo(server.address().conninfo, **change))
    with pytest.raises(DatabaseUnreachable) as raised:
        connect(address)
    message = raised.value.message
    assert says in message
    assert f"{change.get('host', '127.0.0.1')}:{change.get('port', server.port)}" in message
    assert f'database "{change.get("dbname", "postgres")}", user "postgres"' in message
    assert SECRET not in f"{raised.value} {raised.value.hint} {raised.value.__cause__}"
    assert raised.value.hint.endswith((".", ")."))


def test_a_user_without_connect_privilege_is_told_the_grant(server_of: ServerOf, fresh_database: FreshDatabase) -> None:
    address = fresh_database(server_of(15))
    execute(address, "CREATE ROLE outsider LOGIN PASSWORD 'not-telling'")
    try:
        with psycopg.connect(address.conninfo, autocommit=True) as connection:
            connection.execute(f'REVOKE CONNECT ON DATABASE "{connection.info.dbname}" FROM PUBLIC'.encode())
        with pytest.raises(PermissionMissing, match="the user may not connect to the database"):
            connect(as_user(address, "outsider", "not-telling"))
    finally:
        execute(address, "DROP ROLE outsider")


def test_a_server_full_of_sessions_is_named(server_of: ServerOf, fresh_database: FreshDatabase) -> None:
    address = fresh_database(server_of(15))
    execute(address, "CREATE ROLE crowded LOGIN PASSWORD 'not-telling' CONNECTION LIMIT 0")
    try:
        with pytest.raises(DatabaseUnreachable, match="the server has no free connection"):
            connect(as_user(address, "crowded", "not-telling"))
    finally:
        execute(address, "DROP ROLE crowded")


def test_a_server_that_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(DatabaseUnreachable, match="the server does not answer in time"):
            connect(DatabaseAddress(f"host=127.0.0.1 port={port} dbname=x user=y connect_timeout=2"))


def test_service_file_passfile_and_variables_are_honoured_by_us_and_by_pg_dump(
    server_of: ServerOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = server_of(18)
    password = psycopg.conninfo.conninfo_to_dict(server.address().conninfo)["password"]
    (tmp_path / "services").write_text(f"[parsec]\nhost={server.host}\nport={server.port}\nuser=postgres\n")
    (tmp_path / "passwords").write_text(f"*:*:*:postgres:{password}\n")
    (tmp_path / "passwords").chmod(0o600)
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "passwords"))
    monkeypatch.setenv("PGDATABASE", "postgres")
    with open_database(DatabaseAddress("service=parsec")) as database, database.frozen() as view:
        assert database.name == "postgres"
        with client_environment(view.connection) as environment:
            assert environment["PGPASSWORD"] == password
            assert "PGSERVICE" not in environment
            assert "PGPASSFILE" not in environment
        with dump_to_stream(view, find_programs(database.address, 18)) as stream:
            assert b"".join(stream.chunks()).startswith(b"PGDMP")
    with pytest.raises(DatabaseUnreachable, match="the service is not defined"):
        connect(DatabaseAddress("service=other"))


def test_the_socket_directory_works_for_us_and_for_pg_dump(server_of: ServerOf) -> None:
    server = server_of(15)
    known = psycopg.conninfo.conninfo_to_dict(server.address().conninfo)
    address = DatabaseAddress(f"host={server.socket_directory} port={server.port} user=postgres password={known['password']}")
    with open_database(address) as database, database.frozen() as view, dump_to_stream(view, find_programs(address, 15)) as stream:
        assert b"".join(stream.chunks()).startswith(b"PGDMP")


def test_no_timeout_of_the_role_can_end_long_work(server: EmbeddedServer, fresh_database: FreshDatabase) -> None:
    address = fresh_database(server)
    with psycopg.connect(address.conninfo, autocommit=True) as connection:
        for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout"):
            connection.execute(f'ALTER DATABASE "{connection.info.dbname}" SET {name} = 100'.encode())
    with open_database(address) as database:
        assert database.rows("SELECT pg_sleep(0.3)") == [("",)]
        time.sleep(0.3)
        assert database.rows("SHOW application_name") == [("lockstep",)]


@pytest.mark.parametrize("conninfo", ["postgresql://u:hun@ter2@db/x", "host=db password=hun ter2", "postgresql://u:hun/ter2@db/x"])
def test_a_malformed_address_is_refused_without_quoting_it(conninfo: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        connect(DatabaseAddress(conninfo))
    shown: list[BaseException | None] = [raised.value, raised.value.__cause__]
    assert "ter2" not in " ".join(map(repr, shown))
    assert isinstance(raised.value, LockstepError)
