"""What a role lacks in order to dump a whole database, found out before pg_dump stumbles over the first of it.

pg_dump locks every table and reads every sequence and large object; members of extensions only where the extension says that they hold
the user's data. Source: PostgreSQL manual, "Access Privilege Inquiry Functions", row_security_active, pg_extension.extconfig,
"Predefined Roles" (pg_read_all_data, since 14; it does not cover large objects).
"""

from __future__ import annotations

from dataclasses import dataclass

from lockstep.postgres.connection import Database

_LARGE_OBJECTS_LOOKED_AT = 100_000

_RELATIONS = """
SELECT c.relkind = 'S', quote_ident(n.nspname), format('%I.%I', n.nspname, c.relname),
       has_schema_privilege(n.oid, 'USAGE'),
       CASE WHEN c.relkind = 'S' THEN has_sequence_privilege(c.oid, 'SELECT') ELSE has_table_privilege(c.oid, 'SELECT') END,
       row_security_active(c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'S')
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND (NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')
       OR EXISTS (SELECT FROM pg_extension x WHERE c.oid = ANY (x.extconfig)))
ORDER BY 2, 3
"""

_LARGE_OBJECTS = """
SELECT o.oid::text FROM (SELECT oid, lomowner, lomacl FROM pg_largeobject_metadata LIMIT %s) o
WHERE NOT current_setting('lo_compat_privileges')::boolean
  AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
  AND NOT pg_has_role(o.lomowner, 'USAGE')
  AND NOT EXISTS (
      SELECT FROM aclexplode(o.lomacl) a
      WHERE a.privilege_type = 'SELECT' AND (a.grantee = 0 OR pg_has_role(a.grantee, 'USAGE')))
ORDER BY o.oid
"""


@dataclass(frozen=True, slots=True)
class ReadingRights:
    """What the role of a session can read of its database.

    `tables` and `sequences` are counts. `unreadable` are schemas, tables and sequences as SQL writes their names, each with its kind in
    front, a schema standing for all that is in it; `large_objects` are the numbers of those that cannot be read (of the first 100,000).
    `filtered` are tables of which a row-level policy hides rows from the role.
    """

    user: str
    tables: int
    sequences: int
    unreadable: tuple[str, ...]
    large_objects: tuple[str, ...]
    filtered: tuple[str, ...]


def read_rights(database: Database) -> ReadingRights:
    """Look at every table, sequence and large object; nothing is read of their contents. Raises DatabaseFailed."""
    user = database.rows("SELECT current_user")[0][0]
    relations = database.rows(_RELATIONS)
    lacking = set()
    for is_sequence, schema, name, may_enter, may_read, _ in relations:
        if not may_enter:
            lacking.add(f"schema {schema}")
        elif not may_read:
            lacking.add(f"{'sequence' if is_sequence else 'table'} {name}")
    sequences = sum(row[0] for row in relations)
    return ReadingRights(
        user=user,
        tables=len(relations) - sequences,
        sequences=sequences,
        unreadable=tuple(sorted(lacking, key=_by_kind)),
        large_objects=tuple(row[0] for row in database.rows(_LARGE_OBJECTS, (_LARGE_OBJECTS_LOOKED_AT,))),
        filtered=tuple(row[2] for row in relations if row[5]),
    )


def _by_kind(shown: str) -> tuple[int, str]:
    return ("schema", "table", "sequence").index(shown.partition(" ")[0]), shown
