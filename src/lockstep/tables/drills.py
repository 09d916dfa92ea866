"""What a drill compares: references with references, and what the inventory says with what the repository's places hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lockstep.model.drill import Amounts
from lockstep.model.inventory import InventoryEntry
from lockstep.model.objects import ObjectInfo
from lockstep.tables.engine import Tables
from lockstep.tables.inventory import ENTRY

SAMPLE = 3
"""How many keys a sentence about wrong objects names."""

_PLACE = "coalesce(r.location, 'objects/' || r.store || '/' || r.key)"


@dataclass(frozen=True, slots=True)
class Differences:
    """Two sets of references. `only_left` and `only_right` name an object and a size that the other does not; `sample` has some keys."""

    left: int
    right: int
    only_left: int
    only_right: int
    sample: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wrong:
    """Objects that are not as the inventory says, and some of their keys."""

    gone: int
    wrong_size: int
    sample: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lost:
    """Objects of a snapshot that cannot be brought back: those that it lists itself, and those that no inventory knows any more."""

    never_had: int
    unrecorded: int
    sample: tuple[str, ...]


def compare_references(tables: Tables, left: str, right: str) -> Differences:
    """Compare two tables (store, key, size) as sets."""
    columns = "store, key, size"
    counts = [tables.row(f"SELECT count(*) FROM {name}")[0] for name in (left, right)]  # noqa: S608 - our own table names
    for into, one, other in (("only_left", left, right), ("only_right", right, left)):
        tables.run(f"CREATE OR REPLACE TABLE {into} AS SELECT {columns} FROM {one} EXCEPT SELECT {columns} FROM {other}")  # noqa: S608
    alone = [tables.row(f"SELECT count(*) FROM {name}")[0] for name in ("only_left", "only_right")]  # noqa: S608
    both = "SELECT key FROM only_left UNION SELECT key FROM only_right ORDER BY key"
    sample = tuple(row[0] for row in tables.rows(f"{both} LIMIT {SAMPLE}")) if any(alone) else ()
    tables.run("DROP TABLE only_left")
    tables.run("DROP TABLE only_right")
    return Differences(counts[0], counts[1], alone[0], alone[1], sample)


def begin_places(tables: Tables) -> None:
    """Make the empty table `places`: what lies where in the repository."""
    tables.run("CREATE OR REPLACE TABLE places (path VARCHAR, size BIGINT)")


def add_places(tables: Tables, page: Sequence[ObjectInfo]) -> None:
    """Append a page of a listing of the repository to `places`."""
    if page:
        tables.run(
            "INSERT INTO places SELECT unnest($1::VARCHAR[]), unnest($2::BIGINT[])",
            [[each.key for each in page], [each.size for each in page]],
        )


def find_wrong_places(tables: Tables) -> Wrong:
    """Hold `restorable` against `places`, which goes; the view `sound` shows what is there with its size.

    Only what is wrong is written down: a second table of all of them would take as much memory as everything else.
    """
    right = f"SELECT r.* FROM restorable AS r ANTI JOIN places AS p ON p.path = {_PLACE} AND p.size = coalesce(r.stored_size, r.size)"  # noqa: S608
    tables.run(
        f"""
        CREATE OR REPLACE TABLE wrong_places AS
        SELECT r.store, r.key, p.path IS NULL AS gone FROM ({right}) AS r LEFT JOIN places AS p ON p.path = {_PLACE}
        """  # noqa: S608
    )
    tables.run("DROP TABLE places")
    tables.run("CREATE OR REPLACE VIEW sound AS SELECT * FROM restorable ANTI JOIN wrong_places USING (store, key)")
    gone, wrong_size = tables.row("SELECT count(*) FILTER (gone), count(*) FILTER (NOT gone) FROM wrong_places")
    sample = tuple(row[0] for row in tables.rows(f"SELECT key FROM wrong_places ORDER BY key LIMIT {SAMPLE}"))  # noqa: S608
    return Wrong(gone, wrong_size, sample)


def count_lost(tables: Tables) -> Lost:
    """What is in `unrestorable`. What the snapshot lists has the snapshot since which it is missing; what the repository lost has none."""
    never_had, unrecorded = tables.row("SELECT count(since), count(*) - count(since) FROM unrestorable")
    sample = tuple(row[0] for row in tables.rows(f"SELECT key FROM unrestorable ORDER BY key LIMIT {SAMPLE}"))  # noqa: S608
    return Lost(never_had, unrecorded, sample)


def amounts(tables: Tables, table: str) -> Amounts:
    """How many objects a table has, and their bytes."""
    return Amounts(*tables.row(f"SELECT count(*), coalesce(sum(size), 0)::BIGINT FROM {table}"))  # noqa: S608


def draw_sample(tables: Tables, *, share: float, seed: int) -> Amounts:
    """Let the view `drawn` show about this share of `sound`, and at least one object while it is not 0; another seed draws others."""
    where = "true" if share >= 1 else f"{_hash(seed)} < {share:.18f}"
    tables.run(f"CREATE OR REPLACE VIEW drawn AS SELECT * FROM sound WHERE {where}")  # noqa: S608
    found = amounts(tables, "drawn")
    if share > 0 and found.objects == 0:
        tables.run(f"CREATE OR REPLACE VIEW drawn AS SELECT * FROM sound ORDER BY {_hash(seed)}, key LIMIT 1")  # noqa: S608
        return amounts(tables, "drawn")
    return found


def drawn(tables: Tables) -> Iterator[InventoryEntry]:
    """Stream the rows of `drawn` in no order, but near each other on a disk: each segment of the inventory is sorted."""
    found = tables.rows(f"SELECT {ENTRY} FROM drawn")  # noqa: S608 - our own columns
    return (InventoryEntry(*row) for row in found)


def _hash(seed: int) -> str:
    """From 0 to 1 (the hash is below 2^64), another order with every seed; of one text, since hashes of several are merely combined."""
    return f"hash('{seed:d}/' || store || '/' || key) / 18446744073709551616.0"
