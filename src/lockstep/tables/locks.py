"""Which objects of a repository are to be locked for longer: what a snapshot needs, as set algebra."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from lockstep.model.inventory import InventoryEntry
from lockstep.tables import inventory, references
from lockstep.tables.engine import Tables

_PLACE = "coalesce(location, 'objects/' || store || '/' || key)"
_SHARE = "substr(sha256, 1, 2)"


def plan_needed(tables: Tables, *, snapshot: str, references_table: str, run: str | None = None) -> None:
    """Fill `lockable` with what a snapshot needs and was there before: its places in the inventory, without those that `run` wrote.

    Nor those of the table `carried`, where there is one.
    """
    inventory.versions_at(tables, snapshot, wanted=references_table, into="lockable")
    tables.run("CREATE TABLE IF NOT EXISTS carried (path VARCHAR)")
    tables.run(f"DELETE FROM lockable WHERE snapshot = $1 OR {_PLACE} IN (SELECT path FROM carried)", [run or ""])  # noqa: S608


def add_carried(tables: Tables, paths: Sequence[str]) -> None:
    """Note places that were written just now, and so are locked."""
    tables.run("CREATE TABLE IF NOT EXISTS carried (path VARCHAR)")
    if paths:
        tables.run("INSERT INTO carried SELECT unnest($1::VARCHAR[])", [list(paths)])


def find_strange(tables: Tables, held: Sequence[Path] | None) -> None:
    """Fill `strange` with what of `lockable` the snapshot before did not need; `held` is the chain of its references.

    Nobody has seen to these since a snapshot last needed them. Without `held` there are none.
    """
    if held is None:
        tables.run("CREATE OR REPLACE TABLE strange AS SELECT * FROM lockable LIMIT 0")
        return
    references.view_replay(tables, held, into="held")
    same = "l.store = h.store AND l.key = h.key AND (h.size IS NULL OR h.size = l.size)"
    tables.run(f"CREATE OR REPLACE TABLE strange AS SELECT l.* FROM lockable AS l ANTI JOIN held AS h ON {same}")  # noqa: S608


def count_by_share(tables: Tables) -> dict[str, int]:
    """How many objects of `lockable` each share has; shares without one are not in it."""
    return dict(tables.rows(f"SELECT {_SHARE}, count(*) FROM lockable GROUP BY 1"))  # noqa: S608


def count_strange(tables: Tables) -> int:
    """How many objects `find_strange` found."""
    return int(tables.row("SELECT count(*) FROM strange")[0])


def strange(tables: Tables) -> Iterator[InventoryEntry]:
    """Stream what `find_strange` found."""
    return inventory.entries(tables, "strange")


def of_shares(tables: Tables, shares: Collection[str]) -> Iterator[InventoryEntry]:
    """Stream the objects of some shares."""
    return inventory.entries(tables, "lockable", where=f"{_SHARE} IN ({_listed(shares)})")


def sample(tables: Tables, shares: Collection[str], *, most: int, seed: int) -> list[InventoryEntry]:
    """Some objects of some shares, others for another seed."""
    where = f"{_SHARE} IN ({_listed(shares)}) ORDER BY hash(sha256 || '{seed}') LIMIT {most}"
    return list(inventory.entries(tables, "lockable", where=where)) if shares else []


def _listed(shares: Collection[str]) -> str:
    return ", ".join(f"'{share}'" for share in shares)
