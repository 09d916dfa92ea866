"""Counts the rows of every table whose rows a dump holds."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

# Tables that pg_dump dumps with data: ordinary ones and the leaves of partitioned ones; neither temporary nor made by an extension nor
# foreign. An unlogged table has no readable rows on a standby, where pg_dump leaves its data out too.
_TABLES = """
SELECT n.nspname, c.relname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r'
  AND c.relpersistence <> 't'
  AND NOT (c.relpersistence = 'u' AND pg_is_in_recovery())
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')
ORDER BY 1, 2
"""


def count_rows(connection: psycopg.Connection[tuple[Any, ...]]) -> dict[str, int]:
    """Rows of each table, "schema.table" without quotes to count, in the session's present view. Lets psycopg's errors through."""
    counts: dict[str, int] = {}
    for schema, table in connection.execute(_TABLES).fetchall():
        query = sql.SQL("SELECT count(*) FROM ONLY {}").format(sql.Identifier(schema, table))
        found = connection.execute(query).fetchone()
        name = f"{schema}.{table}"
        counts[name] = counts.get(name, 0) + (found[0] if found else 0)
    return counts
