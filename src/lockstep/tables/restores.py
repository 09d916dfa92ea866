"""What a restore must bring back, what is there already, and what cannot come back: set algebra over a snapshot."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lockstep.model.inventory import InventoryEntry, MissingObject
from lockstep.model.objects import ObjectInfo
from lockstep.tables import inventory
from lockstep.tables.engine import Tables


@dataclass(frozen=True, slots=True)
class Restorable:
    """Objects of a snapshot and their bytes."""

    objects: int
    size_bytes: int


def plan_restorable(tables: Tables, *, snapshot: str, references: str, missing: Path | None, prefix: str) -> Restorable:
    """Fill `restorable` with the inventory's rows of what a snapshot has, and `unrestorable` with what it has not; make `present`.

    `references` is a table (store, key, size); `missing` the snapshot's own list. What is neither in that list nor in the inventory, the
    repository has lost. Only keys that start with `prefix` count.
    """
    tables.run(f"CREATE OR REPLACE TABLE asked_for AS SELECT * FROM {references} WHERE starts_with(key, $1)", [prefix])  # noqa: S608
    tables.run("CREATE OR REPLACE TABLE unrestorable (store VARCHAR, key VARCHAR, size BIGINT, why VARCHAR, since VARCHAR)")
    if missing is not None:
        tables.run("INSERT INTO unrestorable SELECT m.* FROM read_parquet($1) AS m SEMI JOIN asked_for USING (store, key)", [str(missing)])
        tables.run("CREATE OR REPLACE TABLE asked_for AS SELECT * FROM asked_for ANTI JOIN unrestorable USING (store, key)")
    tables.run("CREATE OR REPLACE TABLE present (store VARCHAR, key VARCHAR, size BIGINT, etag VARCHAR)")
    inventory.versions_at(tables, snapshot, wanted="asked_for", into="restorable")
    tables.run("INSERT INTO unrestorable SELECT store, key, size, 'lost', NULL FROM asked_for ANTI JOIN restorable USING (store, key)")
    return Restorable(*tables.row("SELECT count(*), coalesce(sum(size), 0) FROM restorable"))


def add_present(tables: Tables, store: str, page: Sequence[ObjectInfo]) -> None:
    """Append a page of a listing to the table `present`."""
    if page:
        columns = [[each.key for each in page], [each.size for each in page], [each.etag for each in page]]
        tables.run("INSERT INTO present SELECT $1, unnest($2::VARCHAR[]), unnest($3::BIGINT[]), unnest($4::VARCHAR[])", [store, *columns])


def create_broken(tables: Tables) -> None:
    """Make the empty table `broken` (store, key, size): what a live store lacks."""
    tables.run("CREATE OR REPLACE TABLE broken (store VARCHAR, key VARCHAR, size BIGINT)")
    tables.run("CREATE TABLE IF NOT EXISTS present (store VARCHAR, key VARCHAR, size BIGINT, etag VARCHAR)")


def add_broken(tables: Tables, found: Sequence[MissingObject]) -> None:
    """Append to `broken`."""
    columns = [[each.store for each in found], [each.key for each in found], [each.size for each in found]]
    tables.run("INSERT INTO broken SELECT unnest($1::VARCHAR[]), unnest($2::VARCHAR[]), unnest($3::BIGINT[])", columns)


def plan_broken(tables: Tables, *, at: str) -> int:
    """Fill `restorable` and `unrestorable` for `broken`, as of the snapshot `at`; returns how many objects are broken."""
    plan_restorable(tables, snapshot=at, references="broken", missing=None, prefix="")
    return int(tables.row("SELECT count(*) FROM broken")[0])


def create_degraded(tables: Tables) -> None:
    """Make the empty table `degraded` (store, key, size, node): what single nodes of a RAID lack while the others make up for it."""
    tables.run("CREATE OR REPLACE TABLE degraded (store VARCHAR, key VARCHAR, size BIGINT, node INTEGER)")


def add_degraded(tables: Tables, found: Sequence[tuple[str, str, int | None, int]]) -> None:
    """Append to `degraded`."""
    columns = [list(column) for column in zip(*found, strict=True)]
    tables.run(
        "INSERT INTO degraded SELECT unnest($1::VARCHAR[]), unnest($2::VARCHAR[]), unnest($3::BIGINT[]), unnest($4::INTEGER[])", columns
    )


def plan_degraded(tables: Tables, *, at: str) -> Restorable:
    """Find for `degraded`, without what is `broken` as a whole, what the inventory knows; how many objects and bytes they are."""
    tables.run(
        """
        CREATE OR REPLACE TABLE healable AS
        SELECT store, key, any_value(size) AS size, list(node ORDER BY node) AS nodes
        FROM degraded ANTI JOIN broken USING (store, key) GROUP BY store, key
        """
    )
    inventory.versions_at(tables, at, wanted="healable", into="healable_known")
    return Restorable(*tables.row("SELECT count(*), coalesce(sum(size) FILTER (size > 0), 0)::BIGINT FROM healable"))


def healable(tables: Tables) -> Iterator[tuple[MissingObject, list[int], InventoryEntry | None]]:
    """Stream each of them with the nodes that lack it or have it wrong, and what the inventory says of it, sorted by store and key."""
    rows = tables.rows(
        """
        SELECT h.store, h.key, h.size, h.nodes, k.size, k.sha256, k.etag, k.attributes, k.location, k.stored_size, k.stored_sha256,
               k.key IS NOT NULL
        FROM healable AS h LEFT JOIN healable_known AS k USING (store, key) ORDER BY h.store, h.key
        """
    )
    for row in rows:
        known = InventoryEntry(row[0], row[1], *row[4:11]) if row[11] else None
        yield MissingObject(row[0], row[1], row[2], "lost"), row[3], known


def count_unhealed(tables: Tables) -> int:
    """How many objects of `healable` ended in `unrestorable`."""
    return int(tables.row("SELECT count(*) FROM healable SEMI JOIN unrestorable USING (store, key)")[0])


def create_broken_places(tables: Tables) -> None:
    """Make the empty table `broken_places` (store, key, path): what the repository has lost or holds damaged."""
    tables.run("CREATE OR REPLACE TABLE broken_places (store VARCHAR, key VARCHAR, path VARCHAR)")
    tables.run("CREATE OR REPLACE TABLE unrestorable (store VARCHAR, key VARCHAR, size BIGINT, why VARCHAR, since VARCHAR)")


def add_broken_places(tables: Tables, found: Sequence[tuple[str, str, str]]) -> None:
    """Append to `broken_places`."""
    columns = [list(column) for column in zip(*found, strict=True)]
    tables.run("INSERT INTO broken_places SELECT unnest($1::VARCHAR[]), unnest($2::VARCHAR[]), unnest($3::VARCHAR[])", columns)


def plan_broken_places(tables: Tables) -> int:
    """Fill `restorable` with the inventory's row for each broken place; returns how many objects are broken."""
    tables.run(
        """
        CREATE OR REPLACE TABLE restorable AS
        SELECT DISTINCT ON (i.store, i.key, i.sha256) i.* FROM inventory AS i SEMI JOIN broken_places AS b
        ON b.store = i.store AND b.key = i.key AND b.path = coalesce(i.location, 'objects/' || i.store || '/' || i.key)
        """
    )
    return int(tables.row("SELECT count(*) FROM (SELECT DISTINCT store, key, path FROM broken_places)")[0])


def count_restorable(tables: Tables) -> Restorable:
    """How much `restorable` holds."""
    return Restorable(*tables.row("SELECT count(*), coalesce(sum(size), 0) FROM restorable"))


def restorable(tables: Tables) -> Iterator[tuple[InventoryEntry, ObjectInfo | None]]:
    """Stream what is to be restored with what the listing showed under the same key, sorted by store and key."""
    rows = tables.rows(
        """
        SELECT p.key IS NOT NULL, p.size, p.etag, r.store, r.key, r.size, r.sha256, r.etag, r.attributes, r.location, r.stored_size,
               r.stored_sha256
        FROM restorable AS r LEFT JOIN present AS p USING (store, key) ORDER BY r.store, r.key
        """
    )
    return ((InventoryEntry(*row[3:]), ObjectInfo(row[4], row[1], row[2]) if row[0] else None) for row in rows)


def add_unrestorable(tables: Tables, found: Sequence[MissingObject]) -> None:
    """Append what turned out to be lost or damaged in the repository."""
    for each in found:
        tables.run("INSERT INTO unrestorable VALUES ($1, $2, $3, $4, $5)", [each.store, each.key, each.size, each.why, each.since])


def count_unrestorable(tables: Tables) -> int:
    """How many objects of the snapshot cannot come back."""
    return int(tables.row("SELECT count(*) FROM unrestorable")[0])


def unrestorable(tables: Tables, *, most: int | None = None) -> Iterator[MissingObject]:
    """Stream what cannot come back, sorted by store and key."""
    limit = "" if most is None else f"LIMIT {most}"
    return (MissingObject(*row) for row in tables.rows(f"SELECT * FROM unrestorable ORDER BY store, key {limit}"))  # noqa: S608


def write_lines(path: Path, objects: Iterator[MissingObject]) -> None:
    """Write objects as JSON lines, since a key may hold a newline."""
    with path.open("w", encoding="utf-8") as file:
        for each in objects:
            fields = {"store": each.store, "key": each.key, "size": each.size, "why": each.why, "since": each.since}
            file.write(json.dumps(fields, ensure_ascii=False) + "\n")


def same_references(tables: Tables, left: str, right: str) -> bool:
    """True when two tables name the same objects with the same sizes."""
    columns = "store, key, size"
    for one, other in ((left, right), (right, left)):
        if tables.row(f"SELECT count(*) FROM (SELECT {columns} FROM {one} EXCEPT SELECT {columns} FROM {other})")[0]:  # noqa: S608
            return False
    return True
