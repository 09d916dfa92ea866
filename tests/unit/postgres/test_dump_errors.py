"""What client programs say becomes one sentence of the right kind; what nobody foresaw is shown as it was said."""

from __future__ import annotations

import pytest

from lockstep.errors import (
    ClientToolFailed,
    DatabaseFailed,
    DatabaseUnreachable,
    DiskFailed,
    LockstepError,
    PermissionMissing,
    RestoreFailed,
    TableLocked,
)
from lockstep.postgres.dump_errors import explain_dump, explain_restore

KNOWN = {"host": "db", "port": "5432", "dbname": "parsec", "user": "backup", "password": "hunter2"}


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        (
            "pg_dump: error: query failed: ERROR:  permission denied for table block\npg_dump: detail: Query was: LOCK TABLE …",
            PermissionMissing,
            'pg_dump failed: the user "backup" may not read table "block"',
        ),
        ("pg_dump: error: query failed: ERROR:  permission denied for schema private", PermissionMissing, 'may not read schema "private"'),
        ("pg_dump: error: query failed: ERROR:  canceling statement due to statement timeout", TableLocked, "a table stayed locked"),
        ("pg_dump: error: query failed: ERROR:  canceling statement due to lock timeout", TableLocked, "a table stayed locked"),
        ('pg_dump: error: query failed: ERROR:  invalid snapshot identifier: "1-1-1"', DatabaseFailed, "the frozen moment is not known"),
        ("pg_dump: error: query failed: server closed the connection unexpectedly", DatabaseUnreachable, "the server ended the connection"),
        ('pg_dump: error: could not write to file "d/1.dat.gz": No space left on device', DiskFailed, "the disk is full"),
        (
            'pg_dump: error: query failed: ERROR:  could not extend file "base/1": No space left on device',
            DatabaseFailed,
            "database server is full",
        ),
        ("pg_dump: error: aborting because of server version mismatch", ClientToolFailed, "older than the server"),
        (
            'pg_dump: error: connection to server at "db" (1.2.3.4), port 5432 failed: FATAL:  too many connections for role "backup"',
            DatabaseUnreachable,
            'cannot connect to db:5432, database "parsec", user "backup": the server has no free connection',
        ),
        ("pg_dump: error: something hunter2 new.", DatabaseFailed, "pg_dump failed: something *** new"),
        ("", DatabaseFailed, "pg_dump ended with exit status 1"),
    ],
)
def test_pg_dump_is_understood(text: str, kind: type[LockstepError], says: str) -> None:
    error = explain_dump("pg_dump", text, 1, KNOWN)
    assert type(error) is kind
    assert says in error.message
    assert "\n" not in error.message
    assert error.hint.endswith(".")


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        (
            'pg_restore: error: could not execute query: ERROR:  role "anna" does not exist\nCommand was: ALTER …',
            RestoreFailed,
            'the role "anna"',
        ),
        ('psql:<stdin>:30: ERROR:  must be able to SET ROLE "anna"', PermissionMissing, 'may not give objects to "anna"'),
        (
            'pg_restore: error: could not execute query: ERROR:  extension "postgis" is not available',
            RestoreFailed,
            'the extension "postgis"',
        ),
        (
            'ERROR:  could not open extension control file "/usr/share/x/extension/postgis.control": No such file or directory',
            RestoreFailed,
            'the extension "postgis"',
        ),
        ("pg_restore: error: unsupported version (1.16) in file header", ClientToolFailed, "too old for the archive (version 1.16)"),
        (
            'pg_restore: error: could not execute query: ERROR:  unrecognized configuration parameter "transaction_timeout"',
            RestoreFailed,
            'does not know the setting "transaction_timeout"',
        ),
        ("pg_restore: error: could not read from input file: end of file", ClientToolFailed, "the archive is damaged"),
        (
            'psql:<stdin>:9: ERROR:  syntax error at or near "VIRTUAL"\nLINE 3:  b int VIRTUAL\n',
            RestoreFailed,
            "does not understand the dump",
        ),
        ("psql:<stdin>:9: ERROR:  invalid command \\restrict", ClientToolFailed, "psql is too old for the dump"),
        ("psql:<stdin>:5: FATAL:  terminating connection due to administrator command", DatabaseUnreachable, "ended the connection"),
        ("psql:<stdin>:7: ERROR:  something new", RestoreFailed, "failed: something new"),
    ],
)
def test_pg_restore_and_psql_are_understood(text: str, kind: type[LockstepError], says: str) -> None:
    error = explain_restore("pg_restore", text, 1, KNOWN)
    assert type(error) is kind
    assert says in error.message
    assert "\n" not in error.message
