"""What no kept snapshot needs: set algebra over their references, the inventory, and what lies in the repository."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lockstep.model.objects import ObjectInfo
from lockstep.model.snapshots import SnapshotId
from lockstep.tables import inventory
from lockstep.tables.engine import Tables
from lockstep.tables.inventory import COLUMNS, PARQUET, segments_as_rows
from lockstep.tables.swollen import refuse_swollen

_PLACE = "coalesce(location, 'objects/' || store || '/' || key)"
_ROW = "store, key, size, snapshot, segment"
"""What tells the rows of the inventory apart."""

_ANSWERS = "n.store = r.store AND n.key = r.key AND (n.size IS NULL OR n.size = r.size)"
"""When a row `r` of the inventory can be what a reference `n` means."""

_ANSWERS_AT_MOST = "hash(n.store, n.key) = hash(r.store, r.key) AND (n.size IS NULL OR n.size = r.size)"
"""The same by numbers, which take a tenth of the memory: where two keys share one, something stays that nobody needs."""


def begin(tables: Tables, segments: Mapping[str, Path]) -> None:
    """Make the view `rows` over the segments, by their paths in the repository, and the empty tables `needed`, `spans` and `listed`.

    `versioned` has the keys of which there are several rows.
    """
    tables.run("CREATE OR REPLACE TABLE needed (store VARCHAR, key VARCHAR, size BIGINT)")
    tables.run("CREATE OR REPLACE TABLE listed (path VARCHAR, size BIGINT)")
    tables.run("CREATE OR REPLACE TABLE spans (store VARCHAR, key VARCHAR, size BIGINT, since VARCHAR, until VARCHAR)")
    tables.run("CREATE OR REPLACE TABLE segments (file VARCHAR, segment VARCHAR)")
    if segments:
        refuse_swollen(tables, list(segments.values()))
        files = [str(file) for file in segments.values()]
        tables.run("INSERT INTO segments SELECT unnest($1::VARCHAR[]), unnest($2::VARCHAR[])", [files, list(segments)])
        source = f"SELECT {COLUMNS}, segment FROM {segments_as_rows(segments.values(), filename='file')} JOIN segments USING (file)"  # noqa: S608
    else:
        inventory.create(tables, [])
        source = f"SELECT {COLUMNS}, NULL::VARCHAR AS segment FROM inventory"  # noqa: S608 - our own column names
    tables.run(f"CREATE OR REPLACE VIEW rows AS {source}")
    # Numbers are counted several times faster than text, and need not be kept in memory whole.
    tables.run("CREATE OR REPLACE TABLE doubles AS SELECT hash(store, key) AS h FROM rows GROUP BY h HAVING count(*) > 1")
    tables.run(
        """
        CREATE OR REPLACE TABLE versioned AS
        SELECT store, key FROM rows SEMI JOIN doubles ON h = hash(store, key) GROUP BY store, key HAVING count(*) > 1
        """
    )


def add_needed(tables: Tables, chain: Sequence[tuple[SnapshotId, Path]], kept: Sequence[bool]) -> None:
    """Append to `needed` what the kept ones among the snapshots of a chain of references need; the last of them is kept.

    `chain` has the file of each, the oldest (a full list) first. A reference counts from its file up to the next one that speaks of it;
    it is needed when a kept snapshot lies in between. The files are read once, however many snapshots are kept. Of the `versioned` keys
    `spans` gets from which snapshot on, and before which, a reference counts.
    """
    refuse_swollen(tables, [path for _, path in chain])
    full, *changes = (f"read_parquet('{_quoted(path)}')" for _, path in chain)
    steps = " UNION ALL ".join(
        [
            "SELECT NULL::VARCHAR AS store, NULL::VARCHAR AS key, NULL::BIGINT AS size, NULL::VARCHAR AS change, 0 AS step WHERE false",
            *(f"SELECT store, key, size, change, {step} AS step FROM {file}" for step, file in enumerate(changes, 1)),  # noqa: S608
        ]
    )
    tables.run(f"CREATE OR REPLACE TABLE steps AS SELECT * FROM ({steps})")  # noqa: S608 - our own file names
    tables.run("CREATE OR REPLACE TABLE changed AS SELECT DISTINCT store, key FROM steps UNION SELECT store, key FROM versioned")
    tables.run(
        f"""
        CREATE OR REPLACE TABLE counting AS SELECT store, key, size, step::BIGINT AS step, until::BIGINT AS until FROM (
            SELECT *, lead(step, 1, {len(chain)}) OVER (PARTITION BY store, key ORDER BY step) AS until FROM (
                SELECT * FROM steps UNION ALL SELECT store, key, size, change, 0 FROM {full} SEMI JOIN changed USING (store, key)
            )
        ) WHERE change = '+'
        """  # noqa: S608 - our own file names
    )
    next_kept = [next(later for later in range(step, len(chain)) if kept[later]) for step in range(len(chain))]
    tables.run(
        f"""
        INSERT INTO needed SELECT f.store, f.key, f.size FROM (
            SELECT store, key, size FROM {full} ANTI JOIN changed USING (store, key)
            UNION ALL
            SELECT store, key, size FROM counting WHERE list_extract($1::INTEGER[], step + 1) < until
        ) AS f ANTI JOIN needed AS n ON n.store = f.store AND n.key = f.key AND n.size IS NOT DISTINCT FROM f.size
        """,  # noqa: S608 - our own file names
        [next_kept],
    )
    ids = [snapshot for snapshot, _ in chain]
    tables.run(
        """
        INSERT INTO spans SELECT store, key, size, list_extract($1::VARCHAR[], step + 1), list_extract($1::VARCHAR[], until + 1)
        FROM counting SEMI JOIN versioned USING (store, key)
        """,
        [[*ids, f"{ids[-1]}~"]],  # what counts to the end of the chain counts for its last snapshot too
    )


def add_listed(tables: Tables, page: Sequence[ObjectInfo]) -> None:
    """Append to `listed` what lies where objects lie."""
    tables.run("INSERT INTO listed SELECT unnest($1::VARCHAR[]), unnest($2::BIGINT[])", [[e.key for e in page], [e.size for e in page]])


def decide(tables: Tables, *, kept: Sequence[SnapshotId], spared: Sequence[str]) -> int:
    """Fill `dropped` with the rows of the inventory that nothing needs, and `doomed` (path, size) with what lies there for no other row.

    Of several versions of a key, each kept snapshot needs the newest that is not later than it. All rows of the segments `spared` are
    needed. What lies where a reference that no row answers would have it stays too: when a table was lost, that may be the object.

    Returns how many places that are needed the listing does not show: then it cannot be trusted (a service may leave things out, a file
    system may spell names in another way), and of what is listed only that goes which a dropped row names.
    """
    _find_meant(tables, kept)
    tables.run(
        f"""
        CREATE OR REPLACE TABLE dropped AS
        SELECT {_ROW}, {_PLACE} AS path FROM rows AS r ANTI JOIN needed AS n ON {_ANSWERS_AT_MOST}
        WHERE NOT list_contains($1::VARCHAR[], r.segment)
        UNION
        SELECT {_ROW}, {_PLACE} FROM rows SEMI JOIN versioned USING (store, key) ANTI JOIN meant USING (store, key, snapshot)
        WHERE NOT list_contains($1::VARCHAR[], segment)
        """,  # noqa: S608 - our own column names
        [list(spared)],
    )
    tables.run(f"CREATE OR REPLACE VIEW staying AS SELECT {_PLACE} AS path FROM rows ANTI JOIN dropped USING ({_ROW})")  # noqa: S608
    unseen = int(
        tables.row("SELECT count(*) FROM (SELECT path FROM staying ANTI JOIN listed ON hash(staying.path) = hash(listed.path))")[0]
    )
    tables.run(
        f"""
        CREATE OR REPLACE TABLE doomed AS
        SELECT path, size FROM listed ANTI JOIN (
            SELECT hash(path) AS h FROM staying
            UNION ALL
            SELECT hash(unnest(['objects/' || n.store || '/' || n.key, 'encrypted/' || n.store || '/' || n.key || '.age'])) FROM needed AS n
            ANTI JOIN rows AS r ON {_ANSWERS_AT_MOST}
        ) ON h = hash(path) {"SEMI JOIN dropped USING (path)" if unseen else ""}
        """  # noqa: S608 - our own column names
    )
    return unseen


def forget_working(tables: Tables) -> None:
    """Drop what `dropped` and `doomed` were made from: what is written next needs the memory."""
    for table in ("listed", "needed", "spans", "steps", "changed", "counting", "meant", "doubles"):
        tables.run(f"DROP TABLE IF EXISTS {table}")


def _find_meant(tables: Tables, kept: Sequence[SnapshotId]) -> None:
    """Fill `meant` with the versions, of `versioned` keys, that kept snapshots need.

    A version counts from its own snapshot up to the next that fits the reference as well; it is needed when a kept snapshot lies in
    between, and in the span of the reference.
    """
    tables.run("CREATE OR REPLACE TABLE kept_ids AS SELECT unnest($1::VARCHAR[]) AS id", [list(kept)])
    tables.run(
        f"""
        CREATE OR REPLACE TABLE meant AS
        SELECT DISTINCT store, key, snapshot FROM (
            SELECT n.store, n.key, r.snapshot, greatest(n.since, r.snapshot) AS begins,
                   least(n.until, lead(r.snapshot, 1, n.until) OVER (PARTITION BY n.rowid ORDER BY r.snapshot)) AS ends
            FROM spans AS n JOIN (SELECT * FROM rows SEMI JOIN versioned USING (store, key)) AS r ON {_ANSWERS}
        ) AS v ASOF JOIN kept_ids AS k ON v.begins <= k.id WHERE k.id < v.ends
        """  # noqa: S608 - our own column names
    )


def doomed(tables: Tables) -> tuple[int, int]:
    """How many objects go, and their bytes."""
    objects, size_bytes = tables.row("SELECT count(*), coalesce(sum(size), 0)::BIGINT FROM doomed")
    return int(objects), int(size_bytes)


def doomed_paths(tables: Tables, *, at_once: int) -> Iterator[list[str]]:
    """Their paths, so many at once."""
    batch: list[str] = []
    for row in tables.rows("SELECT path FROM doomed ORDER BY path"):
        batch.append(row[0])
        if len(batch) == at_once:
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
            SELECT count(*) FROM rows AS r ANTI JOIN needed AS n ON {_ANSWERS_AT_MOST}
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
