"""What the server's catalogs say of a database.

Source: PostgreSQL manual, "System Catalogs": pg_database (its locale columns differ between 14, 15, 16 and 17), pg_shdepend.
"""

from __future__ import annotations

from typing import Any

import psycopg

from lockstep.model.database import DatabaseFacts, LocaleProvider

# The database itself. Before version 15 every locale is libc's, and collation versions of databases are not recorded.
_DATABASE = """
SELECT d.datname, pg_encoding_to_char(d.encoding), d.datcollate, d.datctype, pg_get_userbyid(d.datdba), pg_database_size(d.oid),
       pg_is_in_recovery(), {provider}, {locale}, {version}
FROM pg_database d WHERE d.datname = current_database()
"""
_COLUMNS = (  # from which server on, and then the three columns
    (170000, "d.datlocprovider", "d.datlocale", "d.datcollversion"),
    (150000, "d.datlocprovider", "d.daticulocale", "d.datcollversion"),
    (0, "'c'", "NULL", "NULL"),
)

_EXTENSIONS = "SELECT extname, extversion FROM pg_extension ORDER BY extname"

# Roles that the dump names: owners, grantees and roles of policies, of this database and in it. What an extension owns is made by
# CREATE EXTENSION and names nobody.
_ROLES = """
SELECT r.rolname, bool_or(s.deptype = 'o' AND s.dbid <> 0)
FROM pg_shdepend s
JOIN pg_roles r ON r.oid = s.refobjid
JOIN pg_database d ON d.datname = current_database()
WHERE s.refclassid = 'pg_authid'::regclass
  AND s.deptype IN ('o', 'a', 'r')
  AND (s.dbid = d.oid OR (s.dbid = 0 AND s.classid = 'pg_database'::regclass AND s.objid = d.oid))
  AND NOT (s.deptype = 'o' AND EXISTS (
        SELECT FROM pg_depend e WHERE e.classid = s.classid AND e.objid = s.objid AND e.deptype = 'e'))
GROUP BY r.rolname
"""

# The superuser of initdb is pinned and never appears in pg_shdepend; whether it owns or is granted something, the catalogs themselves say.
# That it owns the schema `public` says nothing: no dump does.
_BOOTSTRAP_ROLE = """
WITH boot AS (SELECT oid, rolname FROM pg_roles WHERE oid = 10),
own AS (
    SELECT datdba AS role, datacl AS acl, NULL::oid AS class, NULL::oid AS object, NULL::oid AS schema
    FROM pg_database WHERE datname = current_database()
    UNION ALL SELECT nspowner, nspacl, 'pg_namespace'::regclass, oid, oid FROM pg_namespace
    UNION ALL SELECT relowner, relacl, 'pg_class'::regclass, oid, relnamespace FROM pg_class
    UNION ALL SELECT proowner, proacl, 'pg_proc'::regclass, oid, pronamespace FROM pg_proc
    UNION ALL SELECT typowner, typacl, 'pg_type'::regclass, oid, typnamespace FROM pg_type
    UNION ALL SELECT defaclrole, defaclacl, 'pg_default_acl'::regclass, oid, nullif(defaclnamespace, 0) FROM pg_default_acl
    UNION ALL SELECT lomowner, lomacl, 'pg_largeobject'::regclass, oid, NULL FROM pg_largeobject_metadata
)
SELECT boot.rolname, bool_or(own.role = boot.oid AND own.object IS NOT NULL AND own.object <> 'public'::regnamespace)
FROM boot, own LEFT JOIN pg_namespace n ON n.oid = own.schema
WHERE (own.role = boot.oid OR EXISTS (SELECT FROM aclexplode(own.acl) a WHERE a.grantee = boot.oid))
  AND (n.nspname IS NULL OR (n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'))
  AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = own.class AND e.objid = own.object AND e.deptype = 'e')
GROUP BY boot.rolname
"""

_PROVIDERS: dict[str, LocaleProvider] = {"c": "libc", "i": "icu", "b": "builtin"}
_PREDEFINED = "pg_"  # no role of a user's may begin so


def read_facts(connection: psycopg.Connection[tuple[Any, ...]]) -> DatabaseFacts:
    """The facts of the database that the session is connected to. Lets psycopg's errors through."""
    number = connection.info.server_version
    _, provider, locale, version = next(row for row in _COLUMNS if number >= row[0])
    row = _one(connection, _DATABASE.format(provider=provider, locale=locale, version=version))
    roles = [row for query in (_ROLES, _BOOTSTRAP_ROLE) for row in _all(connection, query) if not row[0].startswith(_PREDEFINED)]
    return DatabaseFacts(
        name=row[0],
        server_version=str(_one(connection, "SHOW server_version")[0]).split()[0],
        server_major=number // 10_000,
        encoding=row[1],
        collate=row[2],
        ctype=row[3],
        owner=row[4],
        size_bytes=row[5],
        in_recovery=row[6],
        locale_provider=_PROVIDERS[row[7]],
        locale=row[8],
        collation_version=row[9],
        extensions=dict(_all(connection, _EXTENSIONS)),
        roles=tuple(sorted(role for role, _ in roles)),
        owners=tuple(sorted(role for role, owns in roles if owns)),
    )


def _all(connection: psycopg.Connection[tuple[Any, ...]], query: str) -> list[tuple[Any, ...]]:
    return connection.execute(query.encode()).fetchall()


def _one(connection: psycopg.Connection[tuple[Any, ...]], query: str) -> tuple[Any, ...]:
    return _all(connection, query)[0]
