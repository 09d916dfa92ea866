"""Says who keeps a table locked.

Source: PostgreSQL manual, pg_locks, pg_stat_activity. A role without pg_read_all_stats sees the process and its user, not since when; what
others run is never shown: it may hold a password.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from lockstep.errors import LockstepError, TableLocked
from lockstep.model.addresses import DatabaseAddress
from lockstep.postgres.connection import connect

# Those who have a table for themselves, and those who wait for it in front of everybody else; the oldest first.
_BLOCKERS = """
SELECT a.pid, a.usename, a.application_name, format('%I.%I', n.nspname, c.relname), a.query_start, l.granted
FROM pg_locks l
JOIN pg_stat_activity a ON a.pid = l.pid
JOIN pg_class c ON c.oid = l.relation
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.mode = 'AccessExclusiveLock' AND c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND a.pid <> pg_backend_pid()
ORDER BY l.granted DESC, a.xact_start, a.pid, 4
LIMIT 1
"""


@contextmanager
def naming_blockers(address: DatabaseAddress) -> Iterator[None]:
    """Name in a TableLocked of the block who has the table."""
    try:
        yield
    except TableLocked as error:
        who = _blocker(address)
        if who is None:
            raise
        raise TableLocked(f"{error.message}: {who}", hint=error.hint) from error


def _blocker(address: DatabaseAddress) -> str | None:
    try:
        with connect(address) as connection:
            found = connection.execute(_BLOCKERS.encode()).fetchall()
    except LockstepError:  # what happened has been said; who it was cannot be asked
        return None
    if not found:
        return None
    pid, user, application, table, query_start, granted = found[0]
    began = f", whose query began at {_shown(query_start)}" if query_start else ""
    named = f' "{application}"' if application else ""
    return f'process {pid} (user "{user}"{named}){began}, {"holds" if granted else "waits for"} {table} alone'


def _shown(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
