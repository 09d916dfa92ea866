"""Writes to a database of lockstep's own making, for the demo. Nothing here is ever used on an operator's database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from psycopg import sql

from lockstep.model.addresses import DatabaseAddress
from lockstep.postgres.connection import connect
from lockstep.postgres.errors import translated
from lockstep.postgres.sessions import Connection

_ROWS = """
SELECT relname, format('SELECT t::text FROM ONLY %I.%I AS t', nspname, relname)
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind = 'r' AND nspname = 'public' ORDER BY relname
"""
"""The tables, and for each the query of its rows as text."""


def create_database(server: DatabaseAddress, name: str) -> None:
    """Create an empty database on the server. Raises DatabaseFailed."""
    session = connect(server)
    with session, translated(f"creating the database {name}"):
        session.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))


@contextmanager
def open_writing_session(address: DatabaseAddress) -> Iterator[WritingSession]:
    """A session that writes, until the `with` is left."""
    connection = connect(address)
    try:
        yield WritingSession(connection)
    finally:
        connection.close()


class WritingSession:
    """A session that writes; each call is a transaction of its own, except inside `transaction`. Errors are DatabaseFailed and its kin."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written inside the block is committed together at its end, or not at all."""
        with translated("writing"), self._connection.transaction():
            yield

    def run_script(self, script: str) -> None:
        """Run SQL statements, all of them or none."""
        with self.transaction():
            self._connection.execute(script.encode())

    def copy_in(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Add many rows at once. What fills `_id` by hand must move its serial on (`advance_serial`)."""
        statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), _names(columns))
        with self.transaction(), self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)

    def advance_serial(self, table: str, column: str) -> None:
        """Let the serial of a column go on behind its greatest value."""
        statement = sql.SQL("SELECT setval(pg_get_serial_sequence({}, {}), (SELECT max({}) FROM {}))")
        with self.transaction():
            self._connection.execute(statement.format(table, column, sql.Identifier(column), sql.Identifier(table)))

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> tuple[str, ...]:
        """Add a few rows; returns each as the server has it, as text, with the columns that it filled by itself."""
        one = sql.SQL("({})").format(sql.SQL(", ").join([sql.Placeholder()] * len(columns)))
        values = sql.SQL(", ").join([one] * len(rows))
        statement = sql.SQL("INSERT INTO {0} AS t ({1}) VALUES {2} RETURNING t::text").format(
            sql.Identifier(table), _names(columns), values
        )
        with self.transaction():
            added = self._connection.execute(statement, [value for row in rows for value in row])
            return tuple(text for (text,) in added.fetchall())

    def rows_as_text(self) -> dict[str, tuple[str, ...]]:
        """Every row of every table as text, in no order, at one moment."""
        found: dict[str, tuple[str, ...]] = {}
        with self.transaction():
            self._connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            tables: list[tuple[Any, ...]] = self._connection.execute(_ROWS).fetchall()
            for table, query in tables:
                found[table] = tuple(text for (text,) in self._connection.execute(query.encode()).fetchall())
        return found

    def texts(self, query: str) -> tuple[str, ...]:
        """The first column of a query."""
        with self.transaction():
            return tuple(str(row[0]) for row in self._connection.execute(query.encode()).fetchall())


def _names(columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))
