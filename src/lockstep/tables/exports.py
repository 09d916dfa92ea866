"""What an export wrote beside the keys' own names, and what is to be said of objects that files cannot say."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from lockstep.model.inventory import InventoryEntry
from lockstep.tables.engine import Tables


def create_odd(tables: Tables) -> None:
    """Make the empty table `exported_odd`."""
    tables.run("CREATE OR REPLACE TABLE exported_odd (store VARCHAR, key VARCHAR, size BIGINT, sha256 VARCHAR)")


def add_odd(tables: Tables, entries: Sequence[InventoryEntry]) -> None:
    """Append objects that lie under their checksum."""
    if entries:
        columns = zip(*((e.store, e.key, e.size, e.sha256) for e in entries), strict=True)
        tables.run(
            "INSERT INTO exported_odd SELECT unnest($1::VARCHAR[]), unnest($2::VARCHAR[]), unnest($3::BIGINT[]), unnest($4::VARCHAR[])",
            [list(column) for column in columns],
        )


def count_odd(tables: Tables) -> int:
    """How many objects lie under their checksum."""
    return int(tables.row("SELECT count(*) FROM exported_odd")[0])


def odd_rows(tables: Tables) -> Iterator[dict[str, Any]]:
    """Each object that lies under its checksum, sorted by store and key."""
    rows = tables.rows("SELECT store, key, size, sha256 FROM exported_odd ORDER BY store, key")
    return ({"store": store, "key": key, "size": size, "sha256": sha256, "path": f"odd/{sha256}"} for store, key, size, sha256 in rows)


def attribute_rows(tables: Tables) -> Iterator[dict[str, Any]]:
    """Content type, user metadata and the like of each object of `restorable` that has any, sorted by store and key."""
    rows = tables.rows("SELECT store, key, attributes FROM restorable WHERE attributes IS NOT NULL ORDER BY store, key")
    return ({"store": store, "key": key, **json.loads(attributes)} for store, key, attributes in rows)


def has_attributes(tables: Tables) -> bool:
    """True when some object of `restorable` has attributes."""
    return bool(tables.row("SELECT count(attributes) > 0 FROM restorable")[0])
