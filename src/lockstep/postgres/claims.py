"""Who works in a database beside the target: told by an advisory lock, which ends with the session that holds it.

So what a killed restore or drill left can be told from what a living one fills, also while the server still works for the dead one.
Source: PostgreSQL manual, "Advisory Locks"; pg_locks (the two keys of such a lock are its classid and objid).
"""

from __future__ import annotations

import zlib

from lockstep.postgres.errors import translated
from lockstep.postgres.sessions import Connection

_LOCK_CLASS = 0x6C6B7464  # "lktd": keeps our locks apart from those of others in the same database
_ELSEWHERE = """
SELECT FROM pg_locks
WHERE locktype = 'advisory' AND classid = %s::oid AND objid = (%s::bigint & 4294967295)::oid AND pid <> pg_backend_pid()
"""


def try_claim(connection: Connection, database: str) -> bool:
    """Hold the right to work in a database of ours until the session ends. False when somebody else does.

    Such locks belong to the database that a session is connected to, and there are several to be connected to meanwhile; so those in
    the others are looked at too.
    """
    key = zlib.crc32(database.encode()) - (1 << 31)
    with translated("taking the lock of a database beside the target"):
        found = connection.execute("SELECT pg_try_advisory_lock(%s, %s)", (_LOCK_CLASS, key)).fetchone()
        return bool(found and found[0]) and not connection.execute(_ELSEWHERE, (_LOCK_CLASS, key)).fetchall()
