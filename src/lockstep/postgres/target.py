"""What the target of a restore is like, and what it lacks.

Source: PostgreSQL manual, "Locale Support" (providers: ICU for a whole database since 15, builtin since 17), pg_available_extensions,
pg_collation (initdb lists there the locales of the operating system).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from lockstep.errors import DatabaseUnreachable
from lockstep.model.addresses import DatabaseAddress
from lockstep.model.database import DatabaseFacts
from lockstep.postgres.connection import connect
from lockstep.postgres.errors import translated
from lockstep.postgres.names import is_leftover
from lockstep.postgres.sessions import Connection

MAINTENANCE_DATABASES = ("postgres", "template1")


@dataclass(frozen=True, slots=True)
class TargetState:
    """The target of a restore: the server, and the database of the wanted name on it.

    `empty` is true when it exists and holds nothing of a user's; `owner` is None when it does not exist; `sessions` counts those of
    others; `leftovers` are databases that killed restores into this name left behind. `locales` are those of libc that the server is
    known to have, as `plain_locale` writes them. `settable_roles` are the roles whose objects the user may make.
    """

    name: str
    exists: bool
    empty: bool
    owner: str | None
    sessions: int
    server_version: str
    server_major: int
    user: str
    superuser: bool
    may_create: bool
    leftovers: tuple[str, ...]
    extensions: frozenset[str]
    roles: frozenset[str]
    settable_roles: frozenset[str]
    locales: frozenset[str]
    icu: bool


# Everything that CREATE DATABASE … TEMPLATE template0 does not make and that no extension made.
_USER_OBJECTS = """
SELECT EXISTS (
    SELECT FROM (
        SELECT 'pg_class'::regclass AS class, oid, relnamespace AS schema FROM pg_class
        UNION ALL SELECT 'pg_proc'::regclass, oid, pronamespace FROM pg_proc
        UNION ALL SELECT 'pg_type'::regclass, oid, typnamespace FROM pg_type
        UNION ALL SELECT 'pg_operator'::regclass, oid, oprnamespace FROM pg_operator
        UNION ALL SELECT 'pg_collation'::regclass, oid, collnamespace FROM pg_collation
    ) o JOIN pg_namespace n ON n.oid = o.schema
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = o.class AND e.objid = o.oid AND e.deptype = 'e')
) OR EXISTS (
    SELECT FROM pg_namespace n
    WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'public')
      AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_namespace'::regclass AND e.objid = n.oid AND e.deptype = 'e')
) OR EXISTS (SELECT FROM pg_largeobject_metadata)
"""

_SERVER = """
SELECT current_setting('server_version'), r.rolname, r.rolsuper, r.rolcreatedb OR r.rolsuper
FROM pg_roles r WHERE r.rolname = current_user
"""

_DATABASES = "SELECT datname, pg_get_userbyid(datdba), datcollate, datctype FROM pg_database"
_SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
_LOCALES = "SELECT collprovider, collcollate FROM pg_collation"
# Every server lists `unicode`; the other ICU collations are put in by initdb where ICU is compiled in.
_ICU = "SELECT EXISTS (SELECT FROM pg_collation WHERE collprovider = 'i' AND collname <> 'unicode')"
_ROLES = "SELECT rolname, pg_has_role(current_user, oid, %s) FROM pg_roles"
_SET_SINCE = 16  # before, every member could take the role
_EXTENSIONS = "SELECT name FROM pg_available_extensions"


def plan_target(
    address: DatabaseAddress, name: str, *, maintenance_db: str | None = None, facts: DatabaseFacts | None = None
) -> TargetState:
    """Look at the server and at the database `name` on it; nothing is changed.

    With `facts`, the server is asked whether it knows their libc locale, which it may have got after initdb listed what there was.
    Raises what `connect` raises.
    """
    with open_maintenance(address, maintenance_db) as connection, translated("looking at the target"):
        version, user, superuser, may_create = _rows(connection, _SERVER)[0]
        databases = {row[0]: row[1:] for row in _rows(connection, _DATABASES)}
        collations = _rows(connection, _LOCALES)
        locales = {plain_locale(one) for provider, one in collations if provider == "c" and one}
        locales |= {plain_locale(one) for row in databases.values() for one in row[1:]} | {"c", "posix"}
        if facts is not None and facts.locale_provider == "libc":
            locales |= {plain_locale(one) for one in {facts.collate, facts.ctype} if _knows_locale(connection, one)}
        icu = _rows(connection, _ICU)[0][0]
        sessions = _rows(connection, _SESSIONS, (name,))[0][0]
        extensions = frozenset(row[0] for row in _rows(connection, _EXTENSIONS))
        major = connection.info.server_version // 10_000
        roles = _rows(connection, _ROLES, ("SET" if major >= _SET_SINCE else "MEMBER",))
    return TargetState(
        name=name,
        exists=name in databases,
        empty=name in databases and is_empty(address, name),
        owner=databases[name][0] if name in databases else None,
        sessions=sessions,
        server_version=version.split()[0],
        server_major=major,
        user=user,
        superuser=superuser,
        may_create=may_create,
        leftovers=tuple(sorted(each for each in databases if is_leftover(each, name))),
        extensions=extensions,
        roles=frozenset(row[0] for row in roles),
        settable_roles=frozenset(row[0] for row in roles if row[1]),
        locales=frozenset(locales),
        icu=icu,
    )


def open_maintenance(address: DatabaseAddress, maintenance_db: str | None = None) -> Connection:
    """A session from which databases are made and renamed: in the one named, else in `postgres`, else in `template1`."""
    if maintenance_db is not None:
        return connect(address, dbname=maintenance_db)
    try:
        return connect(address, dbname=MAINTENANCE_DATABASES[0])
    except DatabaseUnreachable as error:
        if "the database does not exist" not in error.message:
            raise
        return connect(address, dbname=MAINTENANCE_DATABASES[1])


def is_empty(address: DatabaseAddress, name: str) -> bool:
    """True when the database holds nothing but what every new database has, and extensions."""
    with connect(address, dbname=name) as connection, translated("looking at the target"):
        return not _rows(connection, _USER_OBJECTS)[0][0]


def plain_locale(name: str) -> str:
    """One spelling for the many of a libc locale: `en_US.UTF-8` and `en_US.utf8` are the same."""
    language, dot, codeset = name.lower().partition(".")
    return language + dot + codeset.replace("-", "")


def _knows_locale(connection: Connection, locale: str) -> bool:
    """True when the server can use a locale of libc: tried with a collation that is rolled back."""
    try:
        with connection.transaction(force_rollback=True):
            statement = sql.SQL("CREATE COLLATION pg_temp.lockstep_asks (provider = libc, locale = {})")
            connection.execute(statement.format(locale))
    except psycopg.OperationalError:
        raise
    except psycopg.Error:  # it has none of that name, or the role may not ask: what pg_collation lists has to do
        return False
    return True


def _rows(connection: Connection, query: str, params: tuple[Any, ...] | None = None) -> list[tuple[Any, ...]]:
    return connection.execute(query.encode(), params).fetchall()
