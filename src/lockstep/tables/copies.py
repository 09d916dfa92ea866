"""What a mirror has and what it lacks: set algebra over the inventories of two repositories with the same snapshots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lockstep.model.inventory import InventoryEntry
from lockstep.model.objects import ObjectInfo
from lockstep.tables.engine import Tables
from lockstep.tables.inventory import COLUMNS, ENTRY, PARQUET, segments_as_rows

_ROW = "store, key, sha256, snapshot"
"""What makes a row of an inventory the same in both repositories."""

_SIZE = "coalesce(stored_size, size)"
"""How many bytes lie there."""


@dataclass(frozen=True, slots=True)
class Lacking:
    """An object that may have to travel, from `source_path` to `path` in the mirror.

    `lies_there` is true when something of the right size, with `etag`, lies there: a stopped run may have left it, so it must be proven.
    """

    entry: InventoryEntry
    source_path: str
    path: str
    lies_there: bool
    etag: str | None


def begin(tables: Tables, segments: Sequence[Path]) -> None:
    """Make the tables of a copy: `mirrored` (rows of the mirror's inventory), `listed` (what lies there), `faulty`."""
    tables.run(f"CREATE OR REPLACE TABLE mirrored AS SELECT {_ROW}, {_SIZE} AS size, location FROM inventory LIMIT 0")  # noqa: S608
    tables.run("CREATE OR REPLACE TABLE listed (path VARCHAR, size BIGINT, etag VARCHAR)")
    tables.run("CREATE OR REPLACE TABLE faulty (path VARCHAR)")
    add_mirrored(tables, segments)


def add_mirrored(tables: Tables, segments: Sequence[Path]) -> None:
    """Append the rows of segments that the mirror has."""
    if segments:
        tables.run(f"INSERT INTO mirrored SELECT {_ROW}, {_SIZE}, location FROM {segments_as_rows(segments)}")  # noqa: S608


def add_listed(tables: Tables, page: Sequence[ObjectInfo]) -> None:
    """Append to `listed`."""
    columns = [[each.key for each in page], [each.size for each in page], [each.etag for each in page]]
    tables.run("INSERT INTO listed SELECT unnest($1::VARCHAR[]), unnest($2::BIGINT[]), unnest($3::VARCHAR[])", columns)


def add_sent(tables: Tables, places: Sequence[tuple[str, int]]) -> None:
    """Append to `listed` what was just brought there, with its size."""
    if places:
        paths, sizes = zip(*places, strict=True)
        tables.run("INSERT INTO listed SELECT unnest($1::VARCHAR[]), unnest($2::BIGINT[]), NULL", [list(paths), list(sizes)])


def add_faulty(tables: Tables, paths: Sequence[str]) -> None:
    """Append places of the source whose bytes are not what its inventory says."""
    if paths:
        tables.run("INSERT INTO faulty SELECT unnest($1::VARCHAR[])", [list(paths)])


def count_lost(tables: Tables) -> int:
    """How many rows of the mirror's inventory have no object of the right size there."""
    on = f"l.path = {_place('m')} AND l.size = m.size"
    return int(tables.row(f"SELECT count(*) FROM mirrored AS m ANTI JOIN listed AS l ON {on}")[0])  # noqa: S608


def plan_snapshot(tables: Tables, own: Sequence[Path]) -> None:
    """Fill `own_rows` with the rows of a snapshot's segments, and `needed` with these and those of all that it references.

    `restorable` has the latter.
    """
    tables.run(f"CREATE OR REPLACE TABLE own_rows AS SELECT {COLUMNS} FROM restorable LIMIT 0")  # noqa: S608
    if own:
        tables.run(f"INSERT INTO own_rows SELECT {COLUMNS} FROM {segments_as_rows(own)}")  # noqa: S608
    tables.run(
        f"""
        CREATE OR REPLACE TABLE needed AS
        SELECT {COLUMNS}, {_place("r")} AS path FROM restorable AS r
        UNION ALL
        SELECT {COLUMNS}, {_place("o")} AS path FROM own_rows AS o ANTI JOIN restorable USING ({_ROW})
        """  # noqa: S608
    )


def lacking(tables: Tables) -> tuple[int, int]:
    """Fill `lacks` with what of `needed` may have to travel, each place once; how many there are, and their bytes."""
    tables.run(
        f"""
        CREATE OR REPLACE TABLE lacks AS
        SELECT DISTINCT ON (target) {ENTRY}, path, target, lies_there, lying_etag FROM (
            SELECT n.*, coalesce(m.location, n.path) AS target, l.path IS NOT NULL AS lies_there, l.etag AS lying_etag,
                   m.key IS NOT NULL AS recorded
            FROM needed AS n LEFT JOIN mirrored AS m USING ({_ROW})
            LEFT JOIN listed AS l ON l.path = coalesce(m.location, n.path) AND l.size = coalesce(n.stored_size, n.size)
            ANTI JOIN faulty AS f ON f.path = n.path
        ) WHERE NOT (recorded AND lies_there)
        """  # noqa: S608
    )
    return tables.row(f"SELECT count(*), coalesce(sum({_SIZE}) FILTER (NOT lies_there), 0) FROM lacks")  # noqa: S608


def lacks(tables: Tables) -> Iterator[Lacking]:
    """Stream them, sorted by place."""
    rows = tables.rows(f"SELECT path, target, lies_there, lying_etag, {ENTRY} FROM lacks ORDER BY target")  # noqa: S608 - our own columns
    return (Lacking(InventoryEntry(*row[4:]), *row[:4]) for row in rows)


def faulty_of_snapshot(tables: Tables) -> list[str]:
    """The places that turned out to be faulty, as far as this snapshot needs them; sorted."""
    return [row[0] for row in tables.rows("SELECT DISTINCT path FROM needed SEMI JOIN faulty USING (path) ORDER BY path")]


def save_unrecorded(tables: Tables, path: Path) -> int:
    """Write what a snapshot needs and no inventory of the mirror will have as one segment; returns its rows (0: there is no file)."""
    kept = f"FROM needed ANTI JOIN mirrored USING ({_ROW}) ANTI JOIN own_rows USING ({_ROW})"
    count = int(tables.row(f"SELECT count(*) {kept}")[0])
    if count:
        tables.run(f"COPY (SELECT {COLUMNS} {kept} ORDER BY store, key, snapshot) TO '{_quoted(path)}' {PARQUET}")
    return count


def save_references(tables: Tables, path: Path, *, table: str) -> None:
    """Write a table of references as a full list."""
    tables.run(f"COPY (SELECT store, key, size, '+' AS change FROM {table} ORDER BY store, key) TO '{_quoted(path)}' {PARQUET}")  # noqa: S608


def _place(alias: str) -> str:
    return f"coalesce({alias}.location, 'objects/' || {alias}.store || '/' || {alias}.key)"


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
