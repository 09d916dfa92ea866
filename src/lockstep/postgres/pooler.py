"""Notices what stands between lockstep and the server and would tear its sessions apart.

A pooler answers the start of a session itself and makes up the process number that it gives the client for cancelling; a plain proxy
passes the server's own on. Source: PostgreSQL manual, "Message Formats" (BackendKeyData), pg_backend_pid.
"""

from __future__ import annotations

from lockstep.errors import DatabaseFailed
from lockstep.postgres.frozen import FrozenView


def is_pooled(view: FrozenView) -> bool:
    """True when the session is not the server process that it says it is."""
    told = view.connection.info.backend_pid
    return bool(told != view.rows("SELECT pg_backend_pid()")[0][0])


def prove_shared(view: FrozenView) -> None:
    """Join the view's moment from a second session and see that both see the same. Raises DatabaseFailed when they don't."""
    moment = "SELECT pg_current_snapshot()::text"
    with view.sibling() as other:
        same = other.rows(moment) == view.rows(moment)
    if not same:
        raise DatabaseFailed(
            "a second session does not see the frozen moment of the first",
            hint="Connect to the server itself, past every connection pooler and balancer.",
        )
