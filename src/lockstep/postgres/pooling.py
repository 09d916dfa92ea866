"""Tells a connection pooler that moves sessions between server processes from one that leaves each its own, before anything is set.

A pooler answers the start of a session itself and makes up the process number that it gives the client; asked for it by a query, the
server process tells its own. Where two sessions that are both open turn out to be one process, or one session two, the pooler shares
processes out by the transaction: what a session sets would then stay behind for somebody else, and what it relies on would be gone.
Source: PgBouncer documentation, `pool_mode`; PostgreSQL manual, "Message Formats" (BackendKeyData), pg_backend_pid.
"""

from __future__ import annotations

from typing import Any

import psycopg

from lockstep.errors import DatabaseFailed

_ROUNDS = 3
_PID = "SELECT pg_backend_pid()"

Connection = psycopg.Connection[tuple[Any, ...]]


def refuse_shared_processes(connection: Connection, conninfo: str) -> None:
    """Raise DatabaseFailed when a pooler gives the session another server process for each transaction. Nothing is set before that.

    Lets psycopg's errors through.
    """
    if connection.info.backend_pid == _pid(connection):
        return
    if _are_shared(connection, conninfo):
        where = f"{connection.info.host}:{connection.info.port}"
        raise DatabaseFailed(
            f"a connection pooler in transaction mode answers at {where}: it gives each transaction another server process",
            hint="Connect to the server itself, or to a pool with pool_mode = session: a frozen moment needs a session of its own.",
        )


def _are_shared(connection: Connection, conninfo: str) -> bool:
    for _ in range(_ROUNDS):
        mine = _pid(connection)
        with psycopg.connect(conninfo, autocommit=True) as other:
            try:
                other.execute("BEGIN")  # from here on it keeps the process that it gets
            except psycopg.errors.ProtocolViolation:  # a pool that shares by the statement knows no transactions
                return True
            if _pid(other) == mine or _pid(connection) != mine:
                return True
    return False


def _pid(connection: Connection) -> int:
    return int(connection.execute(_PID).fetchall()[0][0])
