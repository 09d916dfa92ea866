"""What the directories of an import hold beside what the dump references."""

from __future__ import annotations

from collections.abc import Sequence

from lockstep.model.objects import ObjectInfo
from lockstep.tables.engine import Tables


def create_listed(tables: Tables) -> None:
    """Make the empty table `listed`."""
    tables.run("CREATE OR REPLACE TABLE listed (store VARCHAR, key VARCHAR)")


def add_listed(tables: Tables, store: str, page: Sequence[ObjectInfo]) -> None:
    """Append a page of a listing."""
    if page:
        tables.run("INSERT INTO listed SELECT $1, unnest($2::VARCHAR[])", [store, [each.key for each in page]])


def count_unreferenced(tables: Tables) -> int:
    """How many of `listed` are not in `references_now`."""
    return int(tables.row("SELECT count(*) FROM listed ANTI JOIN references_now USING (store, key)")[0])
