"""A database for a drill on a server of any make: like the dumped one as far as the server can, and dropped whatever happens.

While a drill uses its database it holds that database's lock (`lockstep.postgres.claims`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from psycopg import sql

from lockstep.errors import DatabaseFailed, PermissionMissing
from lockstep.model.addresses import DatabaseAddress
from lockstep.model.database import DatabaseFacts
from lockstep.postgres.claims import try_claim
from lockstep.postgres.errors import translated
from lockstep.postgres.names import staging_name
from lockstep.postgres.requirements import Lack, missing_on_target
from lockstep.postgres.staging import create_staging, drop_staging
from lockstep.postgres.target import TargetState, open_maintenance, plan_target

_PLAIN_LOCALES = ("C.UTF-8", "C")


@dataclass(frozen=True, slots=True)
class Fit:
    """How a dumped database fits a server: what it is made like there, what is different, and what stands in the way.

    `roles` are those that the server lacks. `notes` are clauses for a person.
    """

    facts: DatabaseFacts
    server_version: str
    server_major: int
    superuser: bool
    roles: tuple[str, ...]
    lacks: tuple[Lack, ...]
    notes: tuple[str, ...]
    leftovers: tuple[str, ...]


def fit_server(address: DatabaseAddress, name: str, facts: DatabaseFacts) -> Fit:
    """Look at the server; nothing is changed. A locale that it lacks is replaced by a plain one, with a note."""
    target = plan_target(address, name, facts=facts)
    if not target.may_create:
        raise PermissionMissing(
            f'the user "{target.user}" may not create databases on the scratch server',
            hint="Run `ALTER ROLE … CREATEDB`, or leave out --database: lockstep starts a server of its own.",
        )
    notes = []
    bare = replace(facts, extensions={}, roles=(), owner=target.user)
    unlike = missing_on_target(bare, target, keep_owners=False)  # with nothing else to lack: the locale
    if unlike:
        locale = next(each for each in _PLAIN_LOCALES if _has(target, each, facts.encoding))
        notes.append(f"{unlike[0].message}: restored with the locale {locale}")
        facts = replace(facts, locale_provider="libc", locale=None, collate=locale, ctype=locale)
    return Fit(
        facts=facts,
        server_version=target.server_version,
        server_major=target.server_major,
        superuser=target.superuser,
        roles=tuple(sorted({*facts.roles, facts.owner} - target.roles)),
        lacks=tuple(missing_on_target(facts, target, keep_owners=False)),
        notes=tuple(notes),
        leftovers=target.leftovers,
    )


def create_roles(address: DatabaseAddress, roles: Sequence[str]) -> None:
    """Make roles that nobody can log in as. Only for a server of one's own."""
    with open_maintenance(address) as connection, translated("making the roles of the dump"):
        for role in roles:
            connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))


@contextmanager
def scratch_database(address: DatabaseAddress, name: str, *, fit: Fit, snapshot_id: str, keep_owner: bool) -> Iterator[str]:
    """An empty database `NAME_lockstep_<id>` for the length of the block. What killed drills left under that pattern goes first.

    Raises DatabaseFailed when another drill works on this snapshot there, TargetRefused when the server cannot make such a database.
    """
    with open_maintenance(address) as holder:
        for each in fit.leftovers:
            if try_claim(holder, each):
                drop_staging(address, each)
            elif each == staging_name(name, snapshot_id):
                raise DatabaseFailed(f'another drill works in the database "{each}"', hint="Wait until it is over.")
        made = create_staging(address, name, facts=fit.facts, snapshot_id=snapshot_id, keep_owner=keep_owner)
        try_claim(holder, made)
        try:
            yield made
        finally:
            drop_staging(address, made)


def _has(target: TargetState, locale: str, encoding: str) -> bool:
    if locale == "C":
        return True
    return encoding == "UTF8" and "c.utf8" in target.locales
