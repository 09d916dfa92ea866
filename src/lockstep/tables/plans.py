"""What is new, what is in the way, what is missing: the decisions of a backup as set algebra."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lockstep.model.inventory import MISMATCHED, MissingObject, Wanted, WhyMissing
from lockstep.tables import inventory, references
from lockstep.tables.engine import Tables

_NEW = """
    CREATE OR REPLACE TABLE wanted AS
    SELECT {columns} FROM references_now AS r ANTI JOIN {kept} AS k
    ON {same_name} AND (r.size IS NULL OR r.size = k.size) {same_bytes}
"""
_NEWEST_VERSIONS = """
    (SELECT store, key, size, etag, sha256 FROM inventory ANTI JOIN versioned USING (store, key)
     UNION ALL
     SELECT store, key, arg_max(size, snapshot), arg_max_null(etag, snapshot), arg_max(sha256, snapshot)
     FROM inventory SEMI JOIN versioned USING (store, key) GROUP BY store, key)
"""
_SAME_AS_LISTED = "AND r.etag IS NOT DISTINCT FROM k.etag"
_SAME_AS_REFERENCED = "AND (r.etag IS NULL OR r.etag = k.etag) AND (r.sha256 IS NULL OR r.sha256 = k.sha256)"

# `a` and `a/b` may both be keys, but not both names on a disk. The one that would have to be a directory as well goes aside, and so
# does a new version of an object whose first version keeps its name.
_ASIDE = """
    CREATE OR REPLACE TABLE aside AS
    WITH named AS (
        SELECT store, key, array_to_string(string_split(key, '/')[:-2], '/') AS folder, true AS kept FROM inventory
        WHERE location IS NULL OR starts_with(location, 'encrypted/')
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
    """Fill the table `wanted` with the references of `references_now` that the inventory does not have.

    `aside` gets those of them that cannot lie under their own key because of another key. A version of the same size is enough, unless
    the references say more: an ETag or a checksum must be that of the newest version, since an object that is overwritten may come
    back to bytes that it had before. With `compare_etags` the references are a listing: its ETags tell what is new, but not what a GET
    must bring, which may come later than an overwriting.
    """
    exact = bool(tables.row("SELECT count(etag) + count(sha256) FROM references_now")[0])
    if exact or compare_etags:
        inventory.find_versioned(tables)
    kept, one = _NEWEST_VERSIONS if exact or compare_etags else "inventory", references.only_store(tables, "references_now")
    tables.run(
        _NEW.format(
            columns="r.* REPLACE (NULL AS etag)" if compare_etags else "r.*",
            # Of one store, keys alone are compared: a third less to hash and to keep in memory.
            kept=kept if one is None else f"(SELECT * FROM {kept} WHERE store = '{_quoted(one)}')",  # noqa: S608 - a store's name, quoted
            same_name="r.store = k.store AND r.key = k.key" if one is None else "r.key = k.key",
            same_bytes=_SAME_AS_LISTED if compare_etags else _SAME_AS_REFERENCED if exact else "",
        )
    )
    objects, size_bytes = tables.row("SELECT count(*), coalesce(sum(size) FILTER (size > 0), 0) FROM wanted")
    tables.run(_ASIDE if objects else "CREATE OR REPLACE TABLE aside (store VARCHAR, key VARCHAR)")
    return NewObjects(objects, size_bytes)


def new_by_store(tables: Tables) -> dict[str, int]:
    """How many objects `plan_new` found, for each store that has any."""
    return dict(tables.rows("SELECT store, count(*) FROM wanted GROUP BY store"))


def wanted(tables: Tables) -> Iterator[Wanted]:
    """Stream what `plan_new` found, sorted by store and key (a store serves neighbours best)."""
    return _wanted(tables, "wanted")


def add_missing(tables: Tables, missing: Sequence[MissingObject]) -> None:
    """Append to the table `missing_now`, which is made when it is not there."""
    tables.run("CREATE TABLE IF NOT EXISTS missing_now (store VARCHAR, key VARCHAR, size BIGINT, why VARCHAR)")
    if missing:
        columns = zip(*((m.store, m.key, m.size, m.why) for m in missing), strict=True)
        tables.run(
            "INSERT INTO missing_now SELECT unnest($1::VARCHAR[]), unnest($2::VARCHAR[]), unnest($3::BIGINT[]), unnest($4::VARCHAR[])",
            [list(column) for column in columns],
        )


def take_missing(tables: Tables) -> Iterator[Wanted]:
    """Empty `missing_now` and stream what was in it, to be asked for again."""
    tables.run("CREATE OR REPLACE TABLE asked_again AS SELECT w.* FROM wanted AS w SEMI JOIN missing_now USING (store, key)")
    tables.run("DELETE FROM missing_now")
    return _wanted(tables, "asked_again")


def forget_missing(tables: Tables, store: str, keys: Sequence[str]) -> Iterator[Wanted]:
    """Take these keys out of `missing_now` and stream them, to be asked for elsewhere."""
    chosen = "store = $1 AND key IN (SELECT unnest($2::VARCHAR[]))"
    tables.run(f"CREATE OR REPLACE TABLE asked_elsewhere AS SELECT * FROM wanted WHERE {chosen}", [store, list(keys)])  # noqa: S608
    tables.run(f"DELETE FROM missing_now WHERE {chosen}", [store, list(keys)])  # noqa: S608
    return _wanted(tables, "asked_elsewhere")


def set_why(tables: Tables, why: WhyMissing, store: str, keys: Sequence[str]) -> None:
    """Change the reason of some of `missing_now`."""
    tables.run("UPDATE missing_now SET why = $1 WHERE store = $2 AND key IN (SELECT unnest($3::VARCHAR[]))", [why, store, list(keys)])


def lost_batches(tables: Tables, *, size: int, most: int) -> Iterator[tuple[str, list[str]]]:
    """Stores and keys of what is plainly not there, up to `size` keys at a time and `most` in all."""
    found = list(tables.rows(f"SELECT store, key FROM missing_now WHERE why = 'lost' ORDER BY store, key LIMIT {most}"))  # noqa: S608
    for store in dict.fromkeys(row[0] for row in found):
        keys = [row[1] for row in found if row[0] == store]
        for start in range(0, len(keys), size):
            yield store, keys[start : start + size]


def forget_all_missing(tables: Tables) -> None:
    """Empty `missing_now`."""
    tables.run("DELETE FROM missing_now")


def missing_now(tables: Tables, *, most: int) -> Iterator[MissingObject]:
    """Stream the first of what is missing, sorted by store and key."""
    return (MissingObject(*row) for row in tables.rows(f"SELECT store, key, size, why FROM missing_now ORDER BY store, key LIMIT {most}"))  # noqa: S608


def count_new(tables: Tables) -> int:
    """How many of the referenced objects this run copied."""
    return int(tables.row("SELECT count(*) FROM references_now SEMI JOIN journal USING (store, key)")[0])


def unaccounted(tables: Tables) -> int:
    """How many of `wanted` are neither in `journal` nor in `missing_now`: the proof, which must give 0."""
    accounted = "(SELECT store, key FROM journal UNION ALL SELECT store, key FROM missing_now)"
    return int(tables.row(f"SELECT count(*) FROM wanted ANTI JOIN {accounted} USING (store, key)")[0])  # noqa: S608 - our own table names


@dataclass(frozen=True, slots=True)
class MissingCounts:
    """What a snapshot lacks: objects that are not there, and objects that are not as the metadata says."""

    missing: int
    mismatched: int


def count_missing(tables: Tables) -> MissingCounts:
    """How much `missing_now` holds."""
    wrong = ", ".join(f"'{why}'" for why in sorted(MISMATCHED))
    row = tables.row(f"SELECT count(*) FILTER (why NOT IN ({wrong})), count(*) FILTER (why IN ({wrong})) FROM missing_now")  # noqa: S608
    return MissingCounts(*row)


def save_missing(tables: Tables, path: Path, *, snapshot: str, before: Path | Literal["sought"] | None) -> None:
    """Write `missing_now`, sorted; `before` is the parent's list, or a table, which says since when an object is missing."""
    since = f"coalesce(b.since, '{snapshot}')" if before else f"'{snapshot}'"
    known = before if before == "sought" else f"read_parquet('{_quoted(before)}')" if before else ""
    join = f"LEFT JOIN {known} AS b USING (store, key)" if before else ""
    tables.run(
        f"""COPY (SELECT n.store, n.key, n.size, n.why, {since} AS since FROM missing_now AS n {join} ORDER BY n.store, n.key)
            TO '{_quoted(path)}' (FORMAT parquet, COMPRESSION zstd)"""  # noqa: S608 - a snapshot's id and our own file names
    )


def load_missing(tables: Tables, path: Path, *, most: int | None = None) -> Iterator[MissingObject]:
    """Stream a list of missing objects, sorted by store and key, at the most `most` of them."""
    limit = "" if most is None else f"LIMIT {most}"
    rows = tables.rows(f"SELECT store, key, size, why, since FROM read_parquet($1) ORDER BY store, key {limit}", [str(path)])  # noqa: S608
    return (MissingObject(*row) for row in rows)


def _wanted(tables: Tables, table: str) -> Iterator[Wanted]:
    rows = tables.rows(
        f"""
        SELECT w.store, w.key, w.size, w.etag, w.sha256, a.key IS NOT NULL
        FROM {table} AS w LEFT JOIN aside AS a USING (store, key) ORDER BY w.store, w.key
        """  # noqa: S608 - our own table names
    )
    return (Wanted(*row) for row in rows)


def _quoted(path: Path | str) -> str:
    return str(path).replace("'", "''")
