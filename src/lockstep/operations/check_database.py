"""Checks of the deployment's database: what a dump needs of it, and of the programs that make the dump."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from lockstep.model.addresses import DatabaseAddress
from lockstep.model.checkup import Answer, failed, fine, warning
from lockstep.model.database import DatabaseFacts
from lockstep.postgres.archives import reader_needed
from lockstep.postgres.connection import Database, open_database
from lockstep.postgres.errors import grant_hint
from lockstep.postgres.frozen import FrozenView
from lockstep.postgres.pooler import is_pooled, prove_shared
from lockstep.postgres.privileges import ReadingRights, read_rights
from lockstep.postgres.programs import Programs, find_programs

NAMED = 5
"""How many things an answer names; it counts the rest."""


@dataclass(frozen=True, slots=True)
class Live:
    """The deployment's database, open, and what its server says of it."""

    address: DatabaseAddress
    database: Database
    facts: DatabaseFacts
    rights: ReadingRights


def reach(address: DatabaseAddress, stack: ExitStack) -> tuple[Live, Answer]:
    """Connect, for as long as the stack lives."""
    database = stack.enter_context(open_database(address))
    live = Live(address, database, database.facts(), read_rights(database))
    standby = ", a standby" if live.facts.in_recovery else ""
    detail = f'"{live.facts.name}" of PostgreSQL {live.facts.server_version}{standby}, as the user "{live.rights.user}"'
    return live, fine(detail, size=live.facts.size_bytes)


def privileges(live: Live) -> Answer:
    """Whether the role can read all that pg_dump reads."""
    rights = live.rights
    if rights.unreadable:
        return failed(
            f'the user "{rights.user}" may not read {shortened(rights.unreadable)}; pg_dump would refuse', hint=grant_hint(rights.user)
        )
    if rights.large_objects:
        numbers = shortened([f"large object {number}" for number in rights.large_objects])
        return failed(
            f'the user "{rights.user}" may not read {numbers}; pg_dump would refuse',
            hint=f'Run `GRANT SELECT ON LARGE OBJECT {rights.large_objects[0]} TO "{rights.user}"` and so on, or use their owner.',
        )
    return fine(f"all {rights.tables} tables and {rights.sequences} sequences can be read")


def row_security(live: Live) -> Answer:
    """Whether a policy would hide rows from the role."""
    if live.rights.filtered:
        return failed(
            f'row-level policies hide rows from the user "{live.rights.user}" in {shortened(live.rights.filtered)}',
            hint="Use a role with BYPASSRLS, or the owner of the tables: a filtered backup would not be one.",
        )
    return fine("hides nothing")


def client_programs(live: Live) -> tuple[Programs, Answer]:
    """Which pg_dump, pg_restore and psql would be used."""
    programs = find_programs(live.address, live.facts.server_major)
    return programs, fine(f"{programs.version} in {programs.directory}")


def archive(live: Live, programs: Programs) -> Answer:
    """Whether the server's own pg_restore could read what these programs write."""
    reader, server = reader_needed(programs.major), live.facts.server_major
    if reader > server:
        return warning(
            f"pg_dump {programs.version} writes archives that pg_restore {server}, the server's own, cannot read (it takes {reader})",
            hint=f"Install postgresql-client-{server} beside them, and lockstep uses it.",
        )
    return fine(f"what pg_dump {programs.version} writes, pg_restore {server} reads")


def freeze(live: Live, stack: ExitStack) -> tuple[FrozenView, Answer]:
    """Hold a moment of the database, for as long as the stack lives, and join it from a second session."""
    view = stack.enter_context(live.database.frozen())
    prove_shared(view)
    if is_pooled(view):
        return view, warning(
            "a second session sees the same moment, but a connection pooler stands in between",
            hint="Connect to the server itself: a pooler may give the sessions of a backup to different servers, or end them.",
        )
    return view, fine("a second session sees the same moment")


def shortened(names: Sequence[str]) -> str:
    """The first few of the names, and how many more there are."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
