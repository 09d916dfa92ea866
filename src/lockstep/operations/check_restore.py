"""Checks whether what a backup of this deployment keeps could be restored on the same server."""

from __future__ import annotations

from lockstep.model.checkup import Answer, fine, warning
from lockstep.operations.check_database import Live
from lockstep.operations.check_repository import Kept
from lockstep.postgres.programs import find_programs
from lockstep.postgres.requirements import missing_on_target
from lockstep.postgres.target import plan_target


def target(live: Live, kept: Kept | None) -> Answer:
    """What stands in the way of a restore beside this database: rights, roles, locale, extensions, programs.

    Nothing of it keeps a backup from being made, so all of it is a warning.
    """
    newest = kept.newest if kept else None
    facts = newest.database.facts() if newest else live.facts
    found = missing_on_target(facts, plan_target(live.address, live.facts.name))
    if found:
        return warning("; ".join(each.message for each in found), hint=found[0].hint)
    what = "this database"
    if newest:
        what = f"the newest snapshot, {newest.snapshot},"
        find_programs(live.address, live.facts.server_major, at_least=newest.dump.pg_dump_major)
    return fine(f'{what} could be restored on this server by the user "{live.rights.user}"; the room on its disk is not known')
