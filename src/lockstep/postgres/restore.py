"""Puts a dump back into an empty database, whole or not at all.

pg_restore and plain dumps since version 17 begin with a setting that older servers refuse, which would fail every restore that stops at
errors; so for those servers the SQL text goes through here, without that one line. And since psql commits when its input ends, its input
is closed only when it is certain that all of it came.
Source: PostgreSQL manual, pg_restore, psql (`--single-transaction`); the setting is transaction_timeout, new in version 17.
"""

# ruff: noqa: A002 - `format` is what the command line and the manifest call it
from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from subprocess import PIPE

from psycopg.conninfo import make_conninfo

from lockstep.errors import DiskFailed, RestoreFailed, TargetRefused
from lockstep.model.addresses import DatabaseAddress
from lockstep.model.database import DumpFormat
from lockstep.postgres.archives import PlainEnd
from lockstep.postgres.connection import connect
from lockstep.postgres.counts import count_rows
from lockstep.postgres.dump_errors import restore_error
from lockstep.postgres.errors import translated
from lockstep.postgres.processes import Child
from lockstep.postgres.programs import Programs
from lockstep.postgres.sessions import Connection, client_environment, live_parameters

_NEW_SETTING = b"SET transaction_timeout = 0;"
_NEW_SETTING_SINCE = 17
_BEGINNING_BYTES = 65_536  # the settings are in the first kilobyte; what follows later is data and never looked at
_CHUNK_BYTES = 1 << 20

Tick = Callable[[], None]

JOBS = min(4, os.cpu_count() or 1)
"""Sessions that restore at a time when nobody says how many: one a core of this machine, and no more than any server has to spare."""


def restore_archive(
    address: DatabaseAddress,
    dbname: str,
    programs: Programs,
    archive: Path,
    *,
    format: DumpFormat,
    jobs: int | None = None,
    no_owner: bool = False,
    tick: Tick | None = None,
) -> None:
    """Fill an empty database of our own from the archive at a path. What is in it after an error is for the caller to drop.

    `jobs` sessions work at a time (by default JOBS) where the format and the versions allow it. `no_owner` leaves out ownership,
    privileges and tablespaces, so that the dump restores where the roles are not. `tick` is called a few times a second, and may raise.
    Raises RestoreFailed, PermissionMissing, ClientToolFailed, DatabaseFailed, DatabaseUnreachable, and TargetRefused for what a plain
    dump cannot do.
    """
    _refuse_plain_without_owners(format, no_owner=no_owner)
    with connect(address, dbname=dbname) as connection:
        if format == "plain" or (programs.major >= _NEW_SETTING_SINCE and _server_major(connection) < _NEW_SETTING_SINCE):
            _through_psql(connection, programs, archive, format=format, no_owner=no_owner, tick=tick)
            return
        # --dbname alone makes pg_restore connect; everything else about the connection, with the password, is in the environment
        arguments = [programs.path("pg_restore"), "--exit-on-error", "--no-password", f"--dbname={make_conninfo('', dbname=dbname)}"]
        arguments += [*_choices(format, no_owner=no_owner), f"--jobs={jobs or JOBS}", str(archive)]
        with client_environment(connection) as environment, Child(arguments, environment=environment) as child:
            _check(connection, child, child.wait(tick))


def in_place(
    address: DatabaseAddress,
    dbname: str,
    programs: Programs,
    archive: Path,
    *,
    format: DumpFormat,
    no_owner: bool = False,
    tick: Tick | None = None,
) -> None:
    """Fill an existing, empty database in one transaction: after an error it is empty as before. Raises as `restore_archive`."""
    _refuse_plain_without_owners(format, no_owner=no_owner)
    with connect(address, dbname=dbname) as connection:
        _through_psql(connection, programs, archive, format=format, no_owner=no_owner, tick=tick)


def analyze(address: DatabaseAddress, dbname: str) -> None:
    """Give the planner of a restored database its statistics."""
    with connect(address, dbname=dbname) as connection, translated("ANALYZE"):
        connection.execute("ANALYZE")


def row_counts(address: DatabaseAddress, dbname: str) -> dict[str, int]:
    """Rows of each table of a restored database, as `FrozenView.row_counts` counts them."""
    with connect(address, dbname=dbname) as connection, translated("counting the rows"):
        return count_rows(connection)


def without_new_setting(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The SQL text without the one line that servers older than 17 refuse; nothing from the first COPY on is touched."""
    rest = iter(chunks)
    head = b""
    for chunk in rest:
        head += chunk
        if len(head) >= _BEGINNING_BYTES:
            break
    settings, copy, data = head.partition(b"\nCOPY ")
    yield settings.replace(b"\n" + _NEW_SETTING + b"\n", b"\n", 1) + copy + data
    yield from rest


def _through_psql(
    connection: Connection, programs: Programs, archive: Path, *, format: DumpFormat, no_owner: bool, tick: Tick | None
) -> None:
    arguments = [
        programs.path("psql"),
        "--no-psqlrc",
        "--quiet",
        "--set=ON_ERROR_STOP=1",
        "--single-transaction",
        "--no-password",
        "--file=-",
    ]
    with ExitStack() as stack:
        environment = stack.enter_context(client_environment(connection))
        reader = None
        if format != "plain":  # the reader is entered first: it is ended last, when psql is gone and nothing can be committed
            command = [programs.path("pg_restore"), *_choices(format, no_owner=no_owner), "--file=-", str(archive)]
            reader = stack.enter_context(Child(command, environment=environment, stdout=PIPE))
        psql = stack.enter_context(Child(arguments, environment=environment, stdin=PIPE))
        chunks = _chunks_of(archive) if reader is None else iter(lambda: reader.stdout.read(_CHUNK_BYTES), b"")
        if _server_major(connection) < _NEW_SETTING_SINCE:
            chunks = without_new_setting(chunks)
        complete = _pump(chunks, psql, tick)
        if complete is None:  # psql gave up, and says why; the reader is of no interest
            _check(connection, psql, psql.wait())
        if reader is not None:
            status = reader.wait()
            if status:
                psql.kill()
                _check(connection, reader, status)
        if not complete:
            psql.kill()
            raise RestoreFailed("the dump does not end as a dump ends: it is truncated", hint="Verify the repository.")
        psql.stdin.close()  # from here on psql may commit
        _check(connection, psql, psql.wait(tick))


def _pump(chunks: Iterable[bytes], psql: Child, tick: Tick | None) -> bool | None:
    """Send everything to psql. True when it ended as a dump ends, None when psql stopped listening. The input stays open."""
    end = PlainEnd()
    try:
        for chunk in chunks:
            psql.stdin.write(chunk)
            end.feed(chunk)
            if tick is not None:
                tick()
        psql.stdin.flush()
    except BrokenPipeError:
        return None
    return end.complete


def _chunks_of(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise DiskFailed(f"{path} cannot be read: {error.strerror}", hint="Check the disk and its permissions.") from error


def _choices(format: DumpFormat, *, no_owner: bool) -> list[str]:
    return [f"--format={format}", *(["--no-owner", "--no-privileges", "--no-tablespaces"] if no_owner else [])]


def _refuse_plain_without_owners(format: DumpFormat, *, no_owner: bool) -> None:
    if format == "plain" and no_owner:
        raise TargetRefused(
            "owners cannot be left out of a plain SQL dump",
            hint="Create the roles on the target and restore without --no-owner, or restore a snapshot of another format.",
        )


def _server_major(connection: Connection) -> int:
    return connection.info.server_version // 10_000


def _check(connection: Connection, child: Child, status: int) -> None:
    if status:
        raise restore_error(child, status, live_parameters(connection))
