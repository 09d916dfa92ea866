"""Opens sessions on a database server: by libpq's conventions, named `lockstep`, and free of timeouts that would end long work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from lockstep.errors import DatabaseFailed
from lockstep.model.addresses import DatabaseAddress
from lockstep.model.database import DatabaseFacts
from lockstep.postgres import addresses
from lockstep.postgres.errors import connection_error, translated
from lockstep.postgres.facts import read_facts
from lockstep.postgres.frozen import FrozenView, freeze
from lockstep.postgres.holding import HeldTables, hold_tables
from lockstep.postgres.sessions import Connection, open_session

_PARAMETERS = {
    "connect_timeout": "10",  # seconds; long enough for a far away server, short enough for a person who waits
    # A session that only holds the frozen moment is silent for hours; without these a firewall forgets it.
    "keepalives_idle": "60",
    "keepalives_interval": "15",
    "keepalives_count": "8",
}
_ALWAYS = {"application_name": "lockstep", "client_encoding": "UTF8"}


def connect(address: DatabaseAddress, *, dbname: str | None = None, autocommit: bool = True) -> Connection:
    """Open a session; `dbname` takes the place of the address's database.

    Raises ConfigurationError for an address that cannot be read, DatabaseUnreachable or PermissionMissing when the server refuses.
    """
    known = addresses.effective_parameters(address)
    given = {**addresses.parameters(address), **_ALWAYS}
    if dbname is not None:
        given["dbname"] = known["dbname"] = dbname
    given.update({name: value for name, value in _PARAMETERS.items() if name not in known})
    known.setdefault("dbname", known.get("user", ""))
    try:
        connection = open_session(make_conninfo("", **given), lock_timeout_seconds=address.lock_timeout_seconds)
    except psycopg.Error as error:
        raise connection_error(str(error), _as_tried(error, known)) from error
    connection.autocommit = autocommit
    return connection


class Database:
    """A database that lockstep reads: what it is, its rows, and a frozen view of it. Opened by `open_database`."""

    def __init__(self, address: DatabaseAddress, connection: Connection) -> None:
        self.address = address
        self._connection = connection

    @property
    def shown(self) -> str:
        """The address without its secrets."""
        return addresses.shown(self.address)

    @property
    def name(self) -> str:
        """The name of the database."""
        return self._session().info.dbname

    @property
    def server_major(self) -> int:
        """The major version of the server."""
        return self._session().info.server_version // 10_000

    def facts(self) -> DatabaseFacts:
        """The database as its server describes it now."""
        with translated("reading the facts of the database"):
            return read_facts(self._session())

    def frozen(self) -> AbstractContextManager[FrozenView]:
        """Freeze one moment of the database in a session of its own; it melts when the `with` is left."""
        return freeze(lambda: connect(self.address), lock_timeout_seconds=self.address.lock_timeout_seconds)

    def still(self) -> AbstractContextManager[HeldTables]:
        """Keep every table as it is, in a session of its own, until another holds them or the `with` is left."""
        return hold_tables(lambda: connect(self.address))

    def rows(self, query: str, params: Sequence[Any] | Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """All rows of a query on the live database, read in a read-only transaction. Raises DatabaseFailed, PermissionMissing."""
        with translated("the query"):
            session = self._session()
            with session.transaction():
                session.execute("SET TRANSACTION READ ONLY")
                cursor = session.execute(query.encode(), params)
                if cursor.description is None:
                    raise DatabaseFailed("the query returns no rows", hint="Write a SELECT.")
                return cursor.fetchall()

    def close(self) -> None:
        """End the session."""
        self._connection.close()

    def _session(self) -> Connection:
        if self._connection.closed:  # the server was restarted, or somebody ended the session: hours pass between two questions
            self._connection = connect(self.address)
        return self._connection


@contextmanager
def open_database(address: DatabaseAddress) -> Iterator[Database]:
    """Connect to a database; the session ends when the `with` is left. Raises what `connect` raises."""
    database = Database(address, connect(address))
    try:
        yield database
    finally:
        database.close()


def _as_tried(error: psycopg.Error, known: dict[str, str]) -> dict[str, str]:
    """The parameters as libpq had them in the end: a service file may have added some."""
    if error.pgconn is None:
        return known
    tried = {option.keyword.decode(): option.val.decode(errors="replace") for option in error.pgconn.info if option.val}
    return {**known, **tried}
