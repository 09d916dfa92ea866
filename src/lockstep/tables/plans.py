"""What is new, what is in the way, what is missing: the decisions of a backup as set algebra."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lockstep.model.inventory import MISMATCHED, MissingObject, Wanted
from lockstep.tables import inventory
from lockstep.tables.engine import Tables

# The versions that count are those of the same size. Where a listing is the list of references, its ETag must be that of the newest
# version too: an object of an application that overwrites may come back to bytes that it had before.
_NEW = """
    CREATE OR REPLACE TABLE wanted AS
    SELECT r.* FROM references_now AS r ANTI JOIN {kept} AS k
    ON r.store = k.store AND r.key = k.key AND (r.size IS NULL OR r.size = k.size) {same_etag}
"""
_NEWEST_VERSIONS = """
    (SELECT store, key, size, etag FROM inventory ANTI JOIN versioned USING (store, key)
     UNION ALL
     SELECT store, key, arg_max(size, snapshot), arg_max(etag, snapshot) FROM inventory SEMI JOIN versioned USING (store, key) GROUP BY store, key)
"""

# `a` and `a/b` may both be keys, but not both names on a disk. The one that would have to be a directory as well goes aside, and so
# does a new version of an object whose first version keeps its name.
_ASIDE = """
    CREATE OR REPLACE TABLE aside AS
    WITH named AS (
        SELECT store, key, array_to_string(string_split(key, '/')[:-2], '/') AS folder, true AS kept FROM inventory WHERE location IS NULL
        UNION ALL
        SELECT store, key, array_to_string(string_split(key, '/')[:-2], '/'), false FROM wanted
    ),
    folders AS (SELECT DISTINCT store, folder FROM named WHERE folder <> ''),
    above AS (
        SELECT store, folder, unnest(list_transform(
            generate_series(1, len(string_split(folder, '/'))), lambda depth: array_to_string(string_split(folder, '/')[:depth], '/')
        )) AS path FROM folders
    ),
    blocked AS (SELECT a.store, a.folder FROM above AS a SEMI JOIN named AS n ON n.kept AND n.store = a.store AND n.key = a.path)
    SELECT store, key FROM wanted SEMI JOIN (SELECT store, key FROM named WHERE kept) USING (store, key)
    UNION
    SELECT w.store, w.key FROM wanted AS w SEMI JOIN above AS a ON a.store = w.store AND a.path = w.key
    UNION
    SELECT n.store, n.key FROM named AS n SEMI JOIN blocked AS b ON b.store = n.store AND b.folder = n.folder WHERE NOT n.kept
"""


@dataclass(frozen=True, slots=True)
class NewObjects:
    """How much a backup has to copy; `size_bytes` counts the references that say a size."""

    objects: int
    size_bytes: int


def plan_new(tables: Tables, *, compare_etags: bool) -> NewObjects:
    """Fill the table `wanted` with the references of `references_now` that the inventory does not have, and `aside` with those of them
    that cannot lie under their own key because of another key."""
    if compare_etags:
        inventory.find_versioned(tables)
    kept = _NEWEST_VERSIONS if compare_etags else "inventory"
    same_etag = "AND r.etag IS NOT DISTINCT FROM k.etag" if compare_etags else ""
    tables.run(_NEW.format(kept=kept, same_etag=same_etag))
    objects, size_bytes = tables.row("SELECT count(*), coalesce(sum(size) FILTER (size > 0), 0)::BIGINT FROM wanted")
    if objects:
        tables.run(_ASIDE)
    return NewObjects(objects, size_bytes)


def wanted(tables: Tables) -> Iterator[Wanted]:
    """Stream what `plan_new` found, sorted by store and key (a store serves neighbours best)."""
    rows = tables.rows(
        """
        SELECT w.store, w.key, w.size, w.etag, w.sha256, a.key IS NOT NULL
        FROM wanted AS w LEFT JOIN aside AS a USING (store, key) ORDER BY w.store, w.key
        """
    )
    return (Wanted(*row) for row in rows)


def save_missing(tables: Tables, path: Path, missing: Sequence[MissingObject], *, snapshot: str, before: Path | None) -> list[MissingObject]:
    """Write the list of missing objects and return it; `before` is the parent's list, which says since when an object is missing."""
    tables.run("CREATE OR REPLACE TABLE missing_now (store VARCHAR, key VARCHAR, size BIGINT, why VARCHAR)")
    if missing:
        columns = zip(*((m.store, m.key, m.size, m.why) for m in missing), strict=True)
        tables.run(
            "INSERT INTO missing_now SELECT unnest($1::VARCHAR[]), unnest($2::VARCHAR[]), unnest($3::BIGINT[]), unnest($4::VARCHAR[])",
            [list(column) for column in columns],
        )
    since = f"coalesce(b.since, '{snapshot}')" if before else f"'{snapshot}'"
    join = f"LEFT JOIN read_parquet('{_quoted(before)}') AS b USING (store, key)" if before else ""
    tables.run(
        f"""COPY (SELECT n.store, n.key, n.size, n.why, {since} AS since FROM missing_now AS n {join} ORDER BY n.store, n.key)
            TO '{_quoted(path)}' (FORMAT parquet, COMPRESSION zstd)"""  # noqa: S608 - a snapshot's id and our own file names
    )
    return list(load_missing(tables, path))


def load_missing(tables: Tables, path: Path) -> Iterator[MissingObject]:
    """Stream a list of missing objects, sorted by store and key."""
    return (MissingObject(*row) for row in tables.rows("SELECT store, key, size, why, since FROM read_parquet($1) ORDER BY store, key", [str(path)]))


def count_mismatched(missing: Sequence[MissingObject]) -> int:
    """How many of them are there, but not as the metadata says."""
    return sum(1 for each in missing if each.why in MISMATCHED)


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
