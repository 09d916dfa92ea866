"""Databases beside the target: made, filled by somebody else, renamed into place in one step, or dropped.

The database-wide settings (`ALTER DATABASE … SET`), privileges and comment are no part of what pg_dump writes without `--create`, and
are not carried over: a value may be a secret, which a manifest must not hold. The one replaced keeps its own.
Source: PostgreSQL manual, CREATE DATABASE, ALTER DATABASE (RENAME may stand in a transaction and refuses while others are connected),
pg_terminate_backend.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors, pq, sql

from lockstep.errors import DatabaseFailed, PermissionMissing, TargetRefused
from lockstep.model.addresses import DatabaseAddress
from lockstep.model.database import DatabaseFacts
from lockstep.postgres.claims import try_claim
from lockstep.postgres.errors import query_error, translated
from lockstep.postgres.names import is_leftover, staging_name
from lockstep.postgres.sessions import Connection
from lockstep.postgres.target import open_maintenance
from lockstep.steps import step

_RENAME = sql.SQL("ALTER DATABASE {} RENAME TO {}")
_SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
_TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"


def create_staging(
    address: DatabaseAddress,
    name: str,
    *,
    facts: DatabaseFacts,
    snapshot_id: str,
    keep_owner: bool = True,
    maintenance_db: str | None = None,
) -> str:
    """Make the empty database that is to become `name`, with the encoding and locale of `facts`, and return what it is called.

    Its owner is that of `facts`, or the user without `keep_owner`. Raises TargetRefused when the server cannot make such a database.
    """
    staging = staging_name(name, snapshot_id)
    with open_maintenance(address, maintenance_db) as connection:
        major = connection.info.server_version // 10_000
        try:
            connection.execute(_create(staging, facts, server_major=major, keep_owner=keep_owner))
        except errors.DuplicateDatabase as error:
            raise TargetRefused(f'the database "{staging}" exists', hint="Drop it: an earlier restore left it behind.") from error
        except (errors.WrongObjectType, errors.InvalidParameterValue, errors.FeatureNotSupported, errors.UndefinedObject) as error:
            raise TargetRefused(
                f"the target's server cannot make a database like the one that was dumped: {error.diag.message_primary}",
                hint="Install what it names on the server, or restore into another one.",
            ) from error
        except psycopg.Error as error:
            raise query_error(error, doing=f'creating the database "{staging}"') from error
    return staging


def rename_into_place(
    address: DatabaseAddress,
    staging: str,
    target: str,
    *,
    replaced: str | None = None,
    disconnect: bool = False,
    maintenance_db: str | None = None,
) -> None:
    """Give `staging` the name `target`; a database of that name is called `replaced` from then on. Both or neither.

    With `disconnect` the sessions on the target are ended, else they are a reason to refuse. Raises TargetRefused; then nothing has
    changed but that sessions may have been ended.
    """
    with open_maintenance(address, maintenance_db) as connection, open_maintenance(address, maintenance_db) as helper:
        _make_room(helper, target, disconnect=disconnect)
        try:
            with connection.transaction():
                if replaced is not None:
                    # The first rename locks the database against new sessions and gives those that are there five seconds to go.
                    aside = _RENAME.format(sql.Identifier(target), sql.Identifier(replaced))
                    _execute(connection, aside, meanwhile=lambda: _make_room(helper, target, disconnect=disconnect))
                    step("restore.renamed_aside")
                connection.execute(_RENAME.format(sql.Identifier(staging), sql.Identifier(target)))
                step("restore.renamed")
        except errors.ObjectInUse as error:
            raise _in_use(target, _sessions(helper, target), disconnect=disconnect) from error
        except errors.DuplicateDatabase as error:
            raise TargetRefused(f"{error.diag.message_primary}", hint="Restore with --replace, or under another name.") from error
        except psycopg.Error as error:
            raise query_error(error, doing="renaming the database") from error


@contextmanager
def claimed(address: DatabaseAddress, name: str, snapshot_id: str, *, maintenance_db: str | None = None) -> Iterator[list[str]]:
    """The right to restore a snapshot into `name`, for the length of the block; gives the leftovers of killed restores, all dropped.

    What such a restore left running on the server is ended with them. Raises TargetRefused when another restore into `name` lives.
    """
    with open_maintenance(address, maintenance_db) as holder:
        _claim(holder, staging_name(name, snapshot_id))
        with translated("looking for leftovers"):
            names = [row[0] for row in holder.execute("SELECT datname FROM pg_database ORDER BY 1").fetchall()]
        leftovers = [each for each in names if is_leftover(each, name)]
        for each in leftovers:
            _claim(holder, each)
            drop_staging(address, each, maintenance_db=maintenance_db)
        yield leftovers


def _claim(holder: Connection, database: str) -> None:
    if not try_claim(holder, database):
        raise TargetRefused(f'another restore works in the database "{database}"', hint="Wait until it is over.")


def drop_staging(address: DatabaseAddress, staging: str, *, maintenance_db: str | None = None) -> None:
    """Drop a database that this restore made, whoever is connected; no error when it is gone."""
    with open_maintenance(address, maintenance_db) as connection, translated(f'dropping the database "{staging}"'):
        force = sql.SQL(" WITH (FORCE)") if connection.info.server_version >= 130000 else sql.SQL("")
        if connection.info.server_version < 130000:
            connection.execute(_TERMINATE, (staging,))
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(staging)) + force)


def _create(staging: str, facts: DatabaseFacts, *, server_major: int, keep_owner: bool) -> sql.Composed:
    options = [("TEMPLATE", "template0"), ("ENCODING", facts.encoding), ("LC_COLLATE", facts.collate), ("LC_CTYPE", facts.ctype)]
    if facts.locale_provider != "libc" or server_major >= 15:
        options.append(("LOCALE_PROVIDER", facts.locale_provider))
    if facts.locale_provider != "libc" and facts.locale is not None:
        options.append(("ICU_LOCALE" if facts.locale_provider == "icu" else "BUILTIN_LOCALE", facts.locale))
    if keep_owner:
        options.append(("OWNER", facts.owner))
    names = {"TEMPLATE", "OWNER"}
    parts = [
        sql.SQL("{} {}").format(sql.SQL(word), sql.Identifier(value) if word in names else sql.Literal(value)) for word, value in options
    ]
    return sql.SQL("CREATE DATABASE {} {}").format(sql.Identifier(staging), sql.SQL(" ").join(parts))


def _execute(connection: Connection, statement: sql.Composed, *, meanwhile: Callable[[], None]) -> None:
    """Run a statement, and something else a few times a second until it is done."""
    pgconn = connection.pgconn
    pgconn.send_query(statement.as_bytes(connection))
    try:
        while pgconn.is_busy():
            if select.select([pgconn.socket], [], [], 0.1)[0]:
                pgconn.consume_input()
            else:
                meanwhile()
    except BaseException:
        connection.cancel_safe()
        list(iter(pgconn.get_result, None))  # the session must be at rest before the transaction can be rolled back
        raise
    results = list(iter(pgconn.get_result, None))
    for result in results:
        if result.status != pq.ExecStatus.COMMAND_OK:
            raise errors.error_from_result(result)


def _make_room(connection: Connection, target: str, *, disconnect: bool) -> None:
    with translated("looking at the target's sessions"):
        count = _sessions(connection, target)
    if count == 0:
        return
    if not disconnect:
        raise _in_use(target, count, disconnect=False)
    try:
        connection.execute(_TERMINATE, (target,))
    except errors.InsufficientPrivilege as error:
        raise PermissionMissing(
            f'the user may not end the sessions on "{target}"',
            hint="Grant it pg_signal_backend, end them as a superuser, or stop the application.",
        ) from error
    except psycopg.Error as error:
        raise DatabaseFailed("the target's sessions cannot be ended", hint="Stop the application and run the command again.") from error


def _sessions(connection: Connection, database: str) -> int:
    return int(connection.execute(_SESSIONS, (database,)).fetchall()[0][0])


def _in_use(target: str, count: int, *, disconnect: bool) -> TargetRefused:
    if disconnect:
        return TargetRefused(f'the database "{target}" is in use again and again', hint="Stop the application and run the command again.")
    sessions = "1 session" if count == 1 else f"{count} sessions"
    return TargetRefused(
        f'the database "{target}" is in use by {sessions}', hint="Stop the application, or restore with --disconnect, which ends them."
    )
