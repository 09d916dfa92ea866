"""Decides what a target lacks for a database to be made again on it. Pure: values in, sentences out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lockstep.model.database import DatabaseFacts
from lockstep.postgres.target import TargetState, plain_locale

_ICU_SINCE, _BUILTIN_SINCE, _PG_UNICODE_FAST_SINCE = 15, 17, 18
_ALWAYS_THERE = {"plpgsql"}


@dataclass(frozen=True, slots=True)
class Lack:
    """One thing that the target lacks: what it is, as an error says it, and what to do about it."""

    message: str
    hint: str


def missing_on_target(facts: DatabaseFacts, target: TargetState, *, keep_owners: bool = True, in_place: bool = False) -> list[Lack]:
    """What stands in the way of restoring the database on the target, most fundamental first; empty when nothing does.

    With `keep_owners` the roles must be there. `in_place` restores into a database that exists, whose locale is what it is.
    """
    found: list[Lack] = []
    if not in_place:
        if not target.may_create:
            found.append(Lack(
                f'the user "{target.user}" may not create databases on the target',
                "Run `ALTER ROLE … CREATEDB`, or restore with --in-place into an empty database that exists.",
            ))  # fmt: skip
        found += _locale(facts, target)
    missing = sorted(set(facts.extensions) - target.extensions - _ALWAYS_THERE)
    found += [
        Lack(f'the extension "{name}" is not installed on the target\'s server', "Install the package that has it there.")
        for name in missing
    ]
    if keep_owners:
        found += _roles(facts, target)
    return found


def _locale(facts: DatabaseFacts, target: TargetState) -> Iterator[Lack]:
    if facts.locale_provider == "icu" and (target.server_major < _ICU_SINCE or not target.icu):
        yield Lack(
            f'the database has the ICU locale "{facts.locale}", and the target\'s server (version {target.server_version}) has no ICU',
            f"Restore into a PostgreSQL {_ICU_SINCE} or newer that was built with ICU.",
        )
    elif facts.locale_provider == "builtin":
        since = _PG_UNICODE_FAST_SINCE if facts.locale == "PG_UNICODE_FAST" else _BUILTIN_SINCE
        if target.server_major < since:
            yield Lack(
                f'the database has the builtin locale "{facts.locale}", and the target\'s server is version {target.server_version}',
                f"Restore into a PostgreSQL {since} or newer.",
            )
    for name in dict.fromkeys((facts.collate, facts.ctype)):
        if plain_locale(name) not in target.locales:
            yield Lack(
                f'the locale "{name}" of the database is not installed on the target\'s server',
                f"Install it there (`locale-gen {name}` or the package of all locales) and restart the server.",
            )


def _roles(facts: DatabaseFacts, target: TargetState) -> Iterator[Lack]:
    needed = sorted({*facts.roles, facts.owner})
    for name in needed:
        if name not in target.roles:
            yield Lack(f'the role "{name}" does not exist on the target', f'Run `CREATE ROLE "{name}"` there, or restore with --no-owner.')
    what = {**dict.fromkeys(facts.owners, "objects"), facts.owner: "a database"}
    for name in sorted(what.keys() & target.roles - target.settable_roles):
        yield Lack(
            f'the user "{target.user}" may not make {what[name]} for the role "{name}"',
            f'Run `GRANT "{name}" TO "{target.user}"`, restore as a superuser, or restore with --no-owner.',
        )
