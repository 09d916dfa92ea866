"""One moment of a database, held still: every reader of it, and pg_dump, sees exactly the rows that were committed then.

Source: PostgreSQL manual, "Snapshot Synchronization Functions", SET TRANSACTION SNAPSHOT, COPY.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from lockstep.errors import DatabaseFailed
from lockstep.postgres.copies import copied_out
from lockstep.postgres.counts import count_rows
from lockstep.postgres.errors import translated
from lockstep.postgres.sessions import Connection, second_session

_COPY = sql.SQL("COPY (SELECT {} FROM ({}) AS q) TO STDOUT (FORMAT csv, ENCODING 'UTF8')")
# A row-level policy must fail the backup, not thin it out. (pg_dump does the same.)
_WHOLE_TABLES = "SET LOCAL row_security = off"


class FrozenView:
    """A read-only transaction that holds the moment. Made by `freeze`; of no use after its `with`. One thread at a time.

    `at` is when (aware UTC, the server's clock): what was committed before is in the view. `snapshot_name` is PostgreSQL's name of it.
    A query that fails leaves the moment as it is.
    """

    def __init__(self, connection: Connection, at: datetime, snapshot_name: str, *, lock_timeout_seconds: int) -> None:
        self.connection = connection
        self.lock_timeout_seconds = lock_timeout_seconds
        self.at = at
        self.snapshot_name = snapshot_name

    @contextmanager
    def sibling(self, *, lock_timeout_seconds: int | None = None) -> Iterator[FrozenView]:
        """A second session on the same moment, for a second thread; it may wait less long for locks."""
        wait = self.lock_timeout_seconds if lock_timeout_seconds is None else min(lock_timeout_seconds, self.lock_timeout_seconds)
        with _held(second_session(self.connection, lock_timeout_seconds=wait)) as connection:
            try:
                with translated("joining the frozen moment"):
                    connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(self.snapshot_name))
                    connection.execute(_WHOLE_TABLES)
            except DatabaseFailed:
                self._raise_what_ended_it()
                raise
            yield FrozenView(connection, self.at, self.snapshot_name, lock_timeout_seconds=wait)

    def _raise_what_ended_it(self) -> None:
        """Raise why the moment has melted, where the session that held it knows: a standby ends who is in its way, say."""
        if self.connection.pgconn.transaction_status == TransactionStatus.INTRANS:  # else another thread is at work in it, and finds out
            with translated("holding the frozen moment"):
                self.connection.execute("SELECT 1")

    def rows(self, query: str, params: Sequence[Any] | Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """All rows of a query, at the frozen moment."""
        with translated("the query"), self.connection.transaction():
            return self.connection.execute(query.encode(), params).fetchall()

    def columns(self, query: str) -> list[tuple[str, str]]:
        """Name and type (as SQL writes it: `bigint`, `character varying`) of each column of a query, without running it."""
        with translated("describing the query"), self.connection.transaction():
            cursor = self.connection.execute(sql.SQL("SELECT * FROM ({}) AS q LIMIT 0").format(_bare(query)))
            found = [(column.name, column.type_code) for column in cursor.description or ()]
            types = self.connection.execute(
                "SELECT oid::bigint, format_type(oid, NULL) FROM pg_type WHERE oid = ANY(%s)", ([t for _, t in found],)
            )
            names: dict[int, str] = dict(types.fetchall())
        return [(name, names[code]) for name, code in found]

    def row_counts(self) -> dict[str, int]:
        """Rows of each table that the dump holds with its rows: "schema.table" to count."""
        with translated("counting the rows"), self.connection.transaction():
            return count_rows(self.connection)

    def copy_csv(self, query: str, columns: Sequence[str]) -> Generator[bytes, None, int]:
        """The named columns of a query, in that order, as blocks of UTF-8 CSV without a header.

        A block ends at the end of a row. NULL is an empty field, an empty text is `""`. The generator returns how many rows the server
        says it sent. Raises DatabaseFailed, PermissionMissing.
        """
        chosen = sql.SQL(", ").join(sql.Identifier(name) for name in columns)
        statement = _COPY.format(chosen, _bare(query))
        with translated("the query"), self.connection.transaction():
            return (yield from copied_out(self.connection, statement.as_bytes(self.connection)))


@contextmanager
def freeze(open_session: Callable[[], Connection], *, lock_timeout_seconds: int) -> Iterator[FrozenView]:
    """Freeze the database that `open_session` connects to, until the `with` is left."""
    with _held(open_session()) as connection:
        with translated("freezing the database"):
            # The clock first, then the moment: whatever was committed before `at` is in the view.
            at, name = connection.execute("SELECT statement_timestamp(), pg_export_snapshot()").fetchall()[0]
            connection.execute(_WHOLE_TABLES)
        yield FrozenView(connection, at.astimezone(UTC), name, lock_timeout_seconds=lock_timeout_seconds)


@contextmanager
def _held(connection: Connection) -> Iterator[Connection]:
    """The connection in a read-only transaction that sees one moment; closed at the end, whatever it is doing."""
    try:
        connection.autocommit = False
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        yield connection
    finally:
        connection.close()


def _bare(query: str) -> sql.SQL:
    """An operator's query as part of a larger one: without its semicolon, and on lines of its own, since it may end in a comment."""
    return sql.SQL("\n" + query.strip().rstrip(";").rstrip() + "\n")
