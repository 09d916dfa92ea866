"""The inventory: what the repository holds, as segments of Parquet, and the newest version of each key at a given snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from pathlib import Path

from lockstep.model.inventory import InventoryEntry
from lockstep.tables.engine import Tables
from lockstep.tables.swollen import refuse_swollen

ENTRY = "store, key, size, sha256, etag, attributes, location, stored_size, stored_sha256"
"""The columns of an `InventoryEntry`, in its order."""

COLUMNS = f"{ENTRY}, snapshot"
"""The columns of a segment. Those that were written before objects could be encrypted lack `stored_size` and `stored_sha256`."""

_LATER = "SELECT NULL::BIGINT AS stored_size, NULL::VARCHAR AS stored_sha256 WHERE false"

PARQUET = "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 20480)"
"""How a segment is written. The row group is what a reader must hold at once for each column and thread: DuckDB's own default, 122,880
rows, does not fit into its memory limit with the checksums and keys of an inventory; of this size a million entries are written, sorted
and joined in 72 MB, and the file is as small."""

_GATHERS = "gathers"

_FROM_LISTS = """
    SELECT unnest($1::VARCHAR[]) AS store, unnest($2::VARCHAR[]) AS key, unnest($3::BIGINT[]) AS size, unnest($4::VARCHAR[]) AS sha256,
           unnest($5::VARCHAR[]) AS etag, unnest($6::VARCHAR[]) AS attributes, unnest($7::VARCHAR[]) AS location,
           unnest($8::BIGINT[]) AS stored_size, unnest($9::VARCHAR[]) AS stored_sha256
"""


def segments_as_rows(segments: Iterable[Path | str], *, filename: str | None = None) -> str:
    """SQL for the rows of segments (at least one), old or new, with all columns; `filename` is a column for the file of each."""
    names = ", ".join("'" + str(path).replace("'", "''") + "'" for path in segments)
    named = f", filename='{filename}'" if filename else ""
    return f"(SELECT * FROM read_parquet([{names}], union_by_name=true{named}) UNION ALL BY NAME {_LATER})"  # noqa: S608 - our own file names


_FIELDS = attrgetter(*ENTRY.split(", "))


def create(tables: Tables, segments: Sequence[Path], *, run: str | None = None) -> None:
    """Make the view `inventory` over segments (may be none), and over the `journal` of the run that is going on.

    Columns: those of `COLUMNS`.
    """
    tables.run(
        "CREATE TABLE IF NOT EXISTS journal (store VARCHAR, key VARCHAR, size BIGINT, sha256 VARCHAR, etag VARCHAR, attributes VARCHAR, "
        "location VARCHAR, stored_size BIGINT, stored_sha256 VARCHAR)"
    )
    refuse_swollen(tables, segments)
    tables.run("CREATE TABLE IF NOT EXISTS superseded (row BIGINT)")
    kept = f"SELECT {COLUMNS} FROM {segments_as_rows(segments)} UNION ALL " if segments else ""  # noqa: S608 - our own file names
    tables.run(f"CREATE OR REPLACE VIEW inventory AS {kept} SELECT *, '{run or ''}' AS snapshot FROM journal")  # noqa: S608 - a snapshot's id


def add_entries(tables: Tables, entries: Sequence[InventoryEntry]) -> None:
    """Append entries to the table `journal`. They belong to no segment yet."""
    if entries:
        columns = zip(*map(_FIELDS, entries), strict=True)
        tables.run(f"INSERT INTO journal {_FROM_LISTS}", [list(column) for column in columns])


def save_segment(
    tables: Tables, path: Path, *, snapshot: str, after: int = 0, leftovers: Sequence[Path] = (), gathers: Iterable[str] = ()
) -> None:
    """Write the rows of `journal` behind the first `after`, and those of `leftovers`, as one segment, sorted by store and key.

    `gathers` are the paths of segments whose rows are all in it; it says so itself (`gathered_names`).
    """
    quoted = str(path).replace("'", "''")
    others = f"UNION ALL SELECT {COLUMNS} FROM {segments_as_rows(leftovers)}" if leftovers else ""  # noqa: S608 - our own file names
    told = ",".join(gathers)
    options = PARQUET.removesuffix(")") + f", KV_METADATA {{{_GATHERS}: '{told}'}})" if told else PARQUET
    tables.run(
        f"""
        COPY (
            SELECT * FROM (
                SELECT *, '{snapshot}' AS snapshot FROM journal WHERE rowid >= {after} AND rowid NOT IN (SELECT row FROM superseded)
                {others}
            ) ORDER BY store, key
        )
        TO '{quoted}' {options}
        """  # noqa: S608 - a snapshot's id and our own file names
    )


def gathered_names(tables: Tables, segments: Sequence[Path]) -> set[str]:
    """The paths of the segments whose rows are in one of these; a kill may have left them."""
    found = tables.rows(
        "SELECT decode(value) FROM parquet_kv_metadata($1) WHERE decode(key) = $2", [[str(path) for path in segments], _GATHERS]
    )
    return {name for (told,) in found for name in told.split(",")}


def find_superseded(tables: Tables) -> int:
    """Find the rows of `journal` that a later one with the same key and size takes the place of; they go into no segment from now on."""
    if tables.row("SELECT count(*) > count(DISTINCT hash(store, key, size)) FROM journal")[0]:
        tables.run(
            """
            INSERT INTO superseded
            SELECT rowid FROM journal WHERE rowid NOT IN (SELECT max(rowid) FROM journal GROUP BY store, key, size)
            """
        )
    return int(tables.row("SELECT count(*) FROM superseded")[0])


def journal_length(tables: Tables) -> int:
    """How many entries were added to `journal` so far."""
    return int(tables.row("SELECT count(*) FROM journal")[0])


def find_versioned(tables: Tables) -> int:
    """Fill the table `versioned` with the keys that the inventory has more than once, and return how many there are."""
    tables.run("CREATE OR REPLACE TABLE versioned AS SELECT store, key FROM inventory GROUP BY store, key HAVING count(*) > 1")
    return int(tables.row("SELECT count(*) FROM versioned")[0])


def versions_at(tables: Tables, snapshot: str, *, wanted: str, into: str) -> None:
    """Fill the table `into` with the inventory's row for each reference of the table `wanted` as it was at a snapshot.

    Of several versions of one object, the newest one that is not later than the snapshot and has the reference's size is meant.
    References without a row in the inventory are left out. Columns: those of the inventory.
    """
    versioned = find_versioned(tables)
    named = "i.store = w.store AND i.key = w.key"
    # A semi join holds the narrow side in memory, which is the references; a join may hold the inventory, with all its checksums. One
    # statement for each case: what they need at the same time would add up.
    one = f"""
        SELECT i.* FROM inventory AS i SEMI JOIN (FROM {wanted} WHERE {{which}}) AS w ON {named} {{fits}}
        ANTI JOIN versioned AS v ON v.store = i.store AND v.key = i.key WHERE i.snapshot <= $1
    """  # noqa: S608 - our own table names
    tables.run(f"CREATE OR REPLACE TABLE {into} AS {one.format(which='size IS NOT NULL', fits='AND w.size = i.size')}", [snapshot])
    if tables.row(f"SELECT count(*) FROM {wanted} WHERE size IS NULL")[0]:  # noqa: S608 - our own table names
        tables.run(f"INSERT INTO {into} {one.format(which='size IS NULL', fits='')}", [snapshot])
    if versioned:
        tables.run(
            f"""
            INSERT INTO {into}
            SELECT unnest(arg_max(i, i.snapshot)) FROM (SELECT * FROM inventory SEMI JOIN versioned USING (store, key)) AS i
            JOIN {wanted} AS w ON {named} AND (w.size IS NULL OR w.size = i.size) AND i.snapshot <= $1 GROUP BY i.store, i.key
            """,  # noqa: S608 - our own table names
            [snapshot],
        )


def entries(tables: Tables, table: str, *, where: str = "true") -> Iterator[InventoryEntry]:
    """Stream the rows of a table that has the inventory's columns."""
    found = tables.rows(f"SELECT {ENTRY} FROM {table} WHERE {where}")  # noqa: S608
    return (InventoryEntry(*row) for row in found)


def one_encrypted_of_each_run(tables: Tables, table: str) -> list[InventoryEntry]:
    """Of a table with the inventory's columns an encrypted object of each run (may be none): all of a run's have the same recipients."""
    one = "min_by(r, r.stored_size)"
    rows = tables.rows(f"SELECT {ENTRY} FROM (SELECT unnest({one}) FROM {table} AS r WHERE stored_size IS NOT NULL GROUP BY snapshot)")  # noqa: S608
    return [InventoryEntry(*row) for row in rows]
