"""Since when what is missing now has been missing, found out from the references of earlier snapshots alone.

An object that no inventory has was missing in every snapshot that referenced it. So the lists of earlier snapshots, which may be encrypted,
are not needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lockstep.tables.engine import Tables

_BEGAN = """
    WITH seen AS (
        SELECT s.store, s.key, e.step, e.change = '-' OR (s.had_other AND e.size IS DISTINCT FROM s.size) AS ends
        FROM steps AS e JOIN sought AS s USING (store, key) WHERE s.undecided
    ),
    ended AS (SELECT store, key, coalesce(max(step) FILTER (ends), -1) AS step FROM seen GROUP BY store, key)
    SELECT store, key, min(seen.step) AS step FROM seen JOIN ended USING (store, key) WHERE seen.step > ended.step GROUP BY store, key
"""


def begin_since(tables: Tables, *, snapshot: str) -> None:
    """Make the table `sought` (store, key, since…) of `missing_now`: missing since `snapshot`, as far as is known."""
    tables.run(
        """
        CREATE OR REPLACE TABLE sought AS
        SELECT m.store, m.key, m.size, $1::VARCHAR AS since, true AS undecided, i.key IS NOT NULL AS had_other
        FROM missing_now AS m LEFT JOIN (SELECT DISTINCT store, key FROM inventory SEMI JOIN missing_now USING (store, key)) AS i
        USING (store, key)
        """,
        [snapshot],
    )


def look_back(tables: Tables, chain: Sequence[tuple[str, Path]]) -> int:
    """Go on through a chain of references (snapshots and files, a full list first), and return how many objects are still undecided.

    Those are referenced from the chain's first snapshot on, and may have been before. Chains are to be given newest first.
    """
    steps = " UNION ALL ".join(
        f"SELECT store, key, size, change, {number} AS step FROM read_parquet(${number + 1}) SEMI JOIN sought USING (store, key)"  # noqa: S608
        for number in range(len(chain))
    )
    tables.run(f"CREATE OR REPLACE TABLE steps AS {steps}", [str(path) for _, path in chain])
    tables.run(f"CREATE OR REPLACE TABLE began AS {_BEGAN}")
    tables.run("UPDATE sought SET undecided = false WHERE undecided AND (store, key) NOT IN (SELECT (store, key) FROM began)")
    names = "SELECT unnest($1::VARCHAR[]) AS name, unnest(range(len($1::VARCHAR[]))) AS step"
    tables.run(
        f"""
        UPDATE sought SET since = n.name, undecided = b.step = 0
        FROM began AS b JOIN ({names}) AS n USING (step) WHERE sought.undecided AND b.store = sought.store AND b.key = sought.key
        """,  # noqa: S608
        [[name for name, _ in chain]],
    )
    tables.run("DROP TABLE steps")
    tables.run("DROP TABLE began")
    return int(tables.row("SELECT count(*) FROM sought WHERE undecided")[0])
