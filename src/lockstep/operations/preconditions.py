"""What is asked before a backup writes anything."""

from __future__ import annotations

from lockstep.errors import PermissionMissing
from lockstep.postgres.connection import Database
from lockstep.postgres.errors import grant_hint
from lockstep.postgres.privileges import read_rights

NAMED = 3
"""How many tables an error names."""


def refuse_unreadable(database: Database) -> None:
    """Raise PermissionMissing when the role cannot read all that pg_dump reads: it would fail, but only after objects were copied."""
    rights = read_rights(database)
    lacking = (*rights.unreadable, *(f"large object {number}" for number in rights.large_objects))
    if lacking:
        more = f" and {len(lacking) - NAMED} more" if len(lacking) > NAMED else ""
        raise PermissionMissing(f'the user "{rights.user}" may not read {", ".join(lacking[:NAMED])}{more}', hint=grant_hint(rights.user))
