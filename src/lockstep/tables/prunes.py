"""What no kept snapshot needs: set algebra over their references, the inventory, and what lies in the repository."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lockstep.model.objects import ObjectInfo
from lockstep.tables.engine import ROWS_AT_ONCE, Tables
from lockstep.tables.inventory import COLUMNS, PARQUET

_PLACE = "coalesce(location, 'objects/' || store || '/' || key)"
_ROW = "store, key, size, segment"
_ANSWERS = "n.store = r.store AND n.key = r.key AND (n.size IS NULL OR n.size = r.size)"
"""When a row `r` of the inventory can be what a reference `n` means."""


def begin(tables: Tables, segments: Mapping[str, Path]) -> None:
    """Make the empty tables `needed` and `listed`, and the view `rows` over the segments, by their paths in the repository."""
    tables.run("CREATE OR REPLACE TABLE needed (store VARCHAR, key VARCHAR, size BIGINT)")
    tables.run("CREATE OR REPLACE TABLE listed (path VARCHAR, size BIGINT)")
    tables.run("CREATE OR REPLACE TABLE segments (file VARCHAR, segment VARCHAR)")
    if not segments:
        tables.run(f"CREATE OR REPLACE VIEW rows AS SELECT {COLUMNS}, NULL::VARCHAR AS segment FROM inventory LIMIT 0")  # noqa: S608
        return
    files = [str(file) for file in segments.values()]
    tables.run("INSERT INTO segments SELECT unnest($1::VARCHAR[]), unnest($2::VARCHAR[])", [files, list(segments)])
    names = ", ".join(f"'{_quoted(file)}'" for file in segments.values())
    source = f"read_parquet([{names}], filename='file', union_by_name=true) JOIN segments USING (file)"
    tables.run(f"CREATE OR REPLACE VIEW rows AS SELECT {COLUMNS}, segment FROM {source}")  # noqa: S608 - our own file names


def add_needed(tables: Tables, chain: Sequence[Path], kept: Sequence[bool]) -> None:
    """Append to `needed` what the kept ones among the snapshots of a chain of references need; the last of them is kept.

    `chain` has the file of each, the oldest (a full list) first. A reference counts from its file up to the next one that speaks of it;
    it is needed when a kept snapshot lies in between. The files are read once, however many snapshots are kept.
    """
    full, *changes = (f"read_parquet('{_quoted(path)}')" for path in chain)
    new = "ANTI JOIN needed AS n ON n.store = f.store AND n.key = f.key AND n.size IS NOT DISTINCT FROM f.size"
    if not changes:
        tables.run(f"INSERT INTO needed SELECT f.store, f.key, f.size FROM {full} AS f {new}")  # noqa: S608 - our own file names
        return
    steps = " UNION ALL ".join(
        f"SELECT store, key, size, change, {step} AS step FROM {file}"  # noqa: S608 - our own file name
        for step, file in enumerate(changes, 1)
    )
    next_kept = [next(later for later in range(step, len(chain)) if kept[later]) for step in range(len(chain))]
    tables.run(f"CREATE OR REPLACE TABLE steps AS {steps}")
    tables.run("CREATE OR REPLACE TABLE changed AS SELECT DISTINCT store, key FROM steps")
    tables.run(
        f"""
        INSERT INTO needed SELECT f.store, f.key, f.size FROM (
            SELECT store, key, size FROM {full} ANTI JOIN changed USING (store, key)
            UNION
            SELECT store, key, size FROM (
                SELECT *, lead(step, 1, {len(chain)}) OVER (PARTITION BY store, key ORDER BY step) AS until FROM (
                    SELECT * FROM steps UNION ALL SELECT store, key, size, change, 0 FROM {full} SEMI JOIN changed USING (store, key)
                )
            ) WHERE change = '+' AND list_extract($1::INTEGER[], step::BIGINT + 1) < until
        ) AS f {new}
        """,  # noqa: S608 - our own file names
        [next_kept],
    )


def add_listed(tables: Tables, page: Sequence[ObjectInfo]) -> None:
    """Append to `listed` what lies where objects lie."""
    tables.run("INSERT INTO listed SELECT unnest($1::VARCHAR[]), unnest($2::BIGINT[])", [[e.key for e in page], [e.size for e in page]])


def decide(tables: Tables, *, spared: Sequence[str]) -> None:
    """Fill `dropped` with the rows of the inventory that nothing needs, and `doomed` (path, size) with what lies there for no other row.

    All rows of the segments `spared` are needed. What lies where a reference that no row answers would have it stays too: when a table
    was lost, that may be the object.
    """
    tables.run(
        f"""
        CREATE OR REPLACE TABLE dropped AS
        SELECT {_ROW} FROM rows AS r ANTI JOIN needed AS n ON {_ANSWERS}
        WHERE NOT list_contains($1::VARCHAR[], r.segment)
        """,  # noqa: S608 - our own column names
        [list(spared)],
    )
    tables.run(
        f"""
        CREATE OR REPLACE TABLE doomed AS
        SELECT path, size FROM listed ANTI JOIN (
            SELECT {_PLACE} AS path FROM rows ANTI JOIN dropped USING ({_ROW})
            UNION ALL
            SELECT 'objects/' || n.store || '/' || n.key FROM needed AS n
            ANTI JOIN rows AS r ON {_ANSWERS}
        ) USING (path)
        """  # noqa: S608 - our own column names
    )


def doomed(tables: Tables) -> tuple[int, int]:
    """How many objects go, and their bytes."""
    objects, size_bytes = tables.row("SELECT count(*), coalesce(sum(size), 0)::BIGINT FROM doomed")
    return int(objects), int(size_bytes)


def doomed_paths(tables: Tables) -> Iterator[list[str]]:
    """Their paths in batches."""
    batch: list[str] = []
    for row in tables.rows("SELECT path FROM doomed ORDER BY path"):
        batch.append(row[0])
        if len(batch) == ROWS_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def count_dropped(tables: Tables) -> dict[str, int]:
    """How many rows each segment loses; those that lose none are not in it."""
    return dict(tables.rows("SELECT segment, count(*) FROM dropped GROUP BY segment"))


def count_spared(tables: Tables, spared: Sequence[str]) -> int:
    """How many rows of the segments nothing needs but the grace period."""
    return int(
        tables.row(
            f"""
            SELECT count(*) FROM rows AS r ANTI JOIN needed AS n ON {_ANSWERS}
            WHERE list_contains($1::VARCHAR[], r.segment)
            """,  # noqa: S608 - our own column names
            [list(spared)],
        )[0]
    )


def save_gathered(tables: Tables, path: Path, segments: Sequence[str]) -> int:
    """Write what stays of some segments as one, sorted by store and key; returns its rows (0: there is no file)."""
    kept = f"FROM rows ANTI JOIN dropped USING ({_ROW}) WHERE list_contains($1::VARCHAR[], segment)"
    count = int(tables.row(f"SELECT count(*) {kept}", [list(segments)])[0])
    if count:
        tables.run(f"COPY (SELECT {COLUMNS} {kept} ORDER BY store, key, snapshot) TO '{_quoted(path)}' {PARQUET}", [list(segments)])
    return count


def save_folded(tables: Tables, path: Path, changes: Sequence[Path]) -> None:
    """Write several files of changes, oldest first, as one that leads from before the first to behind the last."""
    steps = " UNION ALL ".join(
        f"SELECT store, key, size, change, {step} AS step FROM read_parquet('{_quoted(file)}')"  # noqa: S608 - our own file name
        for step, file in enumerate(changes)
    )
    tables.run(
        f"""
        COPY (
            WITH steps AS MATERIALIZED ({steps}), last AS (SELECT store, key, max(step) AS step FROM steps GROUP BY store, key)
            SELECT store, key, size, change FROM steps SEMI JOIN last USING (store, key, step) ORDER BY store, key
        ) TO '{_quoted(path)}' (FORMAT parquet, COMPRESSION zstd)
        """  # noqa: S608 - our own file names
    )


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
