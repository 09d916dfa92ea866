"""Keeps every table from being dropped or changed between the moment that is frozen and the end of its dump.

A snapshot freezes rows, not tables: a table that is dropped, truncated or written anew after the moment and before pg_dump has locked it is
gone, or empty, for whoever looks at the moment later. So the tables are locked first, as pg_dump locks them, then the moment is frozen, and
before the dump begins its own session takes the locks over.
Whoever wants to drop or alter a table from then on waits for us, and pg_dump, which asks later, waits for him: then nobody goes on but by
a timeout, and those who only want to read wait too. So that wait must be short, and the moment be given up: see `STUCK_SECONDS`.
Source: PostgreSQL manual, LOCK (ACCESS SHARE conflicts with ACCESS EXCLUSIVE alone), "Caveats" of the chapter on concurrency control.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from psycopg import errors, sql

from lockstep.postgres.errors import translated
from lockstep.postgres.sessions import Connection

STUCK_SECONDS = 5
"""How long pg_dump may wait for tables that are held for it: nobody keeps it waiting but who waits himself. A server under load needs less
for what has no obstacle, and an application outlasts it."""

_ROUNDS = 5
"""How often the tables are looked up anew when one of them was dropped meanwhile."""

# Those that pg_dump locks and the role may read; what it may not read, pg_dump says.
_TABLES = """
SELECT n.nspname, c.relname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
  AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')
ORDER BY 1, 2
"""

Table = tuple[str, str]


class HeldTables:
    """Locks on tables, until `release`."""

    def __init__(self, connection: Connection, names: Sequence[Table]) -> None:
        self._connection, self._names = connection, names

    def hand_over(self, connection: Connection) -> None:
        """Let the transaction of another session hold the tables from now on."""
        with translated("locking the tables"):
            _lock(connection, self._names)
        self._connection.close()


@contextmanager
def hold_tables(open_session: Callable[[], Connection]) -> Iterator[HeldTables]:
    """Lock the tables of a database in a session of their own, until they are handed over or the `with` is left.

    Others read and write as before; whoever wants to drop or alter a table waits. Raises TableLocked when somebody who does so keeps
    a table longer than the session's lock_timeout.
    """
    connection = open_session()
    try:
        with translated("locking the tables"):
            names = _hold(connection)
        yield HeldTables(connection, names)
    finally:
        connection.close()


def _hold(connection: Connection) -> list[Table]:
    for number in range(1, _ROUNDS + 1):
        names: list[Table] = [(schema, table) for schema, table in connection.execute(_TABLES).fetchall()]
        connection.execute("BEGIN READ ONLY")
        try:
            _lock(connection, names)
        except (errors.UndefinedTable, errors.InvalidSchemaName, errors.WrongObjectType):
            connection.execute("ROLLBACK")
            if number == _ROUNDS:
                raise
        else:
            return names
    return []


def _lock(connection: Connection, names: Sequence[Table]) -> None:
    if names:
        tables = sql.SQL(", ").join(sql.SQL("ONLY {}").format(sql.Identifier(*name)) for name in names)
        connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(tables))
