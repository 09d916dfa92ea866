"""A live session and what can be made from it: a second session, or a client program's, on the very same server.

Psycopg brings a libpq of its own, which may have other defaults (socket directory, service file) than the system's; so whatever must
meet the same server is told the parameters that the live session ended up with, never the operator's original words.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from lockstep.postgres.errors import translated
from lockstep.postgres.pooling import refuse_shared_processes
from lockstep.postgres.processes import plain_environment

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

_NO_TIMEOUTS = {
    "statement_timeout": 0,
    "idle_in_transaction_session_timeout": 0,
    "idle_session_timeout": 140000,  # since version 14
    "transaction_timeout": 170000,  # since version 17
}
# What a database, a role or PGOPTIONS may set otherwise, and our sessions read or write by.
_RELIED_ON = {
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
    "default_transaction_read_only": "off",
}
# What led to the server, or belongs to one session alone. A dump is in the database's encoding unless PGCLIENTENCODING says otherwise.
_NOT_HANDED_ON = {"service", "servicefile", "target_session_attrs", "load_balance_hosts", "passfile", "client_encoding", "replication"}


def open_session(conninfo: str, *, lock_timeout_seconds: int) -> Connection:
    """Connect, in autocommit, with no timeout that could end long work but that for locks.

    Raises DatabaseFailed when a pooler stands in between that shares server processes out by the transaction. Lets psycopg's errors
    through.
    """
    connection = psycopg.connect(conninfo, autocommit=True)
    try:
        refuse_shared_processes(connection, conninfo)
        settings = dict.fromkeys((name for name, since in _NO_TIMEOUTS.items() if connection.info.server_version >= since), "0")
        assignments = [
            sql.SQL("SET {} = {}").format(sql.Identifier(name), sql.Literal(value)) for name, value in (_RELIED_ON | settings).items()
        ]
        assignments.append(sql.SQL("SET lock_timeout = {}").format(sql.Literal(f"{lock_timeout_seconds}s")))
        connection.execute(sql.SQL("; ").join(assignments))
    except BaseException:
        connection.close()
        raise
    return connection


def second_session(connection: Connection, *, lock_timeout_seconds: int) -> Connection:
    """Another session with the same server, database and user. Raises what connecting raises, in our words."""
    with translated("opening a second session"):
        return open_session(
            make_conninfo("", client_encoding="UTF8", **live_parameters(connection)), lock_timeout_seconds=lock_timeout_seconds
        )


def live_parameters(connection: Connection) -> dict[str, str]:
    """Every parameter of a session, with its password, and with the one host, address and port it is connected to."""
    found = {option.keyword.decode(): option.val.decode() for option in connection.pgconn.info if option.val}
    found = {name: value for name, value in found.items() if name not in _NOT_HANDED_ON}
    info = connection.info
    found.update({"host": info.host, "port": str(info.port), "dbname": info.dbname, "user": info.user})
    if info.hostaddr:
        found["hostaddr"] = info.hostaddr  # one name may stand for several servers
    if info.password:
        found["password"] = info.password  # it may come from a passfile
    return {name: value for name, value in found.items() if value}


@contextmanager
def client_environment(connection: Connection, *, dbname: str | None = None) -> Iterator[dict[str, str]]:
    """Environment variables that lead a client program to where the session is; no secret has to be among its arguments.

    What has no variable in libpq (`sslpassword`) lies in a private service file until the `with` is left.
    """
    environment = plain_environment()
    known = live_parameters(connection)
    if dbname is not None:
        known["dbname"] = dbname
    variables = {option.keyword.decode(): option.envvar.decode() for option in connection.pgconn.info if option.envvar}
    environment.update({variables[name]: value for name, value in known.items() if name in variables})
    if "sslpassword" not in known:
        yield environment
        return
    with tempfile.TemporaryDirectory(prefix="lockstep-") as directory:
        service = Path(directory) / "pg_service.conf"
        service.touch(mode=0o600)
        service.write_text(f"[lockstep]\nsslpassword={known['sslpassword']}\n")
        yield {**environment, "PGSERVICEFILE": str(service), "PGSERVICE": "lockstep"}
