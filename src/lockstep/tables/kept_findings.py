"""What a repository knows of an audit's findings: which of them it keeps, and since which snapshot others are missing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lockstep.model.audit import Amount, Group
from lockstep.tables.engine import Tables

# The inventory names runs. A run that was stopped, or that copied before its snapshot's moment, counts for the snapshot that followed.
# A size that the metadata does not say is fitted by every version, as in a restore.
_COPIED = """
    UPDATE findings SET copied = k.snapshot
    FROM (
        SELECT f.store, f.key, max(coalesce(r.snapshot, i.snapshot)) AS snapshot FROM findings AS f
        JOIN inventory AS i ON i.store = f.store AND i.key = f.key AND (f.size IS NULL OR f.size = i.size)
        LEFT JOIN runs AS r ON r.run = i.snapshot GROUP BY f.store, f.key
    ) AS k
    WHERE findings.store = k.store AND findings.key = k.key
"""
_RUNS = """
    CREATE OR REPLACE TABLE runs AS
    SELECT i.run, min(s.snapshot) AS snapshot FROM (SELECT DISTINCT snapshot AS run FROM inventory) AS i
    JOIN (SELECT unnest($1::VARCHAR[]) AS snapshot) AS s ON s.snapshot >= i.run GROUP BY i.run
"""
# What had been purged by then was missed for a good reason, and says nothing of an object that is referenced now.
_SINCE = """
    UPDATE findings SET since = m.since FROM (SELECT * FROM read_parquet($1) WHERE why <> 'purged') AS m
    WHERE findings.store = m.store AND findings.key = m.key AND findings.copied IS NULL
"""
_AMOUNT = "count(*), coalesce(sum(size) FILTER (size > 0), 0)::BIGINT"


def note_copied(tables: Tables, snapshots: Sequence[str]) -> Amount:
    """Note with each finding the newest of the snapshots that copied it, by the view `inventory`; how much that is."""
    tables.run(_RUNS, [list(snapshots)])
    tables.run(_COPIED)
    return Amount(*tables.row(f"SELECT {_AMOUNT} FROM findings WHERE copied IS NOT NULL"))  # noqa: S608 - our own columns


def note_since(tables: Tables, missing: Path) -> None:
    """Note with each finding that a snapshot's list of missing objects has, and no snapshot keeps, since when it is missing."""
    tables.run(_SINCE, [str(missing)])


def count_since(tables: Tables) -> tuple[tuple[Group, ...], Amount]:
    """The findings by the first snapshot that missed them, oldest first, and those of which the repository knows nothing."""
    rows = tables.rows(f"SELECT since, {_AMOUNT} FROM findings WHERE since IS NOT NULL GROUP BY since ORDER BY since")  # noqa: S608
    groups = tuple(Group({"since": row[0]}, row[1], row[2]) for row in rows)
    return groups, Amount(*tables.row(f"SELECT {_AMOUNT} FROM findings WHERE since IS NULL AND copied IS NULL"))  # noqa: S608
