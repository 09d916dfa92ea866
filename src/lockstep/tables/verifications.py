"""What a verification holds against each other: references, inventory and what lies in the pool, and which snapshots a fault touches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, TypeAlias

from lockstep.errors import RepositoryInvalid
from lockstep.model.findings import Fault, Finding
from lockstep.model.objects import ObjectInfo
from lockstep.tables import inventory, references
from lockstep.tables.engine import Tables

Place: TypeAlias = tuple[str, int, str, str | None]
"""A file of the pool: path, size and SHA-256 as the inventory says, and the SHA-256 of what is in it where it is encrypted."""

Check: TypeAlias = Callable[[str, int, str, str | None], Fault | None]
"""What is done with a place: None when it is right."""

_PATH = "coalesce(location, 'objects/' || store || '/' || key)"

# The places that an object may have (repository/pool.py): its own key where that is a safe file name, else its checksum. An encrypted one
# has `.age` behind it, and lies in a tree of its own.
_NAMED = r"""
    regexp_full_match(store, '[a-z0-9][a-z0-9_-]{0,62}')
    AND NOT regexp_matches(key, '[\x{00}-\x{1f}\x{7f}-\x{9f}]')
    AND list_bool_and(list_transform(string_split(key, '/'), lambda part: part NOT IN ('', '.', '..') AND strlen(part) <= 255))
"""
_SAFE = f"""
    regexp_full_match(sha256, '[0-9a-f]{{64}}') AND size >= 0
    AND CASE WHEN stored_sha256 IS NULL AND stored_size IS NULL THEN
        CASE WHEN location IS NULL THEN {_NAMED} ELSE location = 'odd/' || sha256[:2] || '/' || sha256 END
    WHEN regexp_full_match(stored_sha256, '[0-9a-f]{{64}}') AND stored_size >= 0 THEN
        CASE WHEN starts_with(location, 'encrypted/') THEN {_NAMED} AND strlen(string_split(key, '/')[-1]) <= 251
            AND location = 'encrypted/' || store || '/' || key || '.age'
        ELSE location = 'odd/' || stored_sha256[:2] || '/' || stored_sha256 || '.age' END
    ELSE false END
"""

# Several keys may share one place in odd/, and only there: nothing else is made distinct, which would need all of it in memory.
_ODD = "coalesce(starts_with(location, 'odd/'), false)"
_FILE = "coalesce(stored_size, size) AS size, coalesce(stored_sha256, sha256) AS sha256, if(stored_sha256 IS NULL, NULL, sha256) AS inside"
_PLACES = f"""
    SELECT {_PATH} AS path, {_FILE} FROM {{source}} WHERE {_SAFE} AND NOT {_ODD}
    UNION ALL
    SELECT DISTINCT location, {_FILE} FROM {{source}} WHERE {_SAFE} AND {_ODD}
"""  # noqa: S608 - our own columns

_FITS = "i.store = r.store AND i.key = r.key AND (r.size IS NULL OR r.size = i.size) AND i.snapshot <= $1"


def open_inventory(tables: Tables, segments: Sequence[Path]) -> list[Path]:
    """Make the view `inventory` of those segments that can be read as such, and return the others (may be none)."""
    refused = [path for path in segments if not _is_segment(tables, path)]
    inventory.create(tables, [path for path in segments if path not in refused])
    tables.run("CREATE OR REPLACE TABLE faults (path VARCHAR, kind VARCHAR, detail VARCHAR)")
    tables.run("CREATE OR REPLACE TABLE lost (snapshot VARCHAR, store VARCHAR, key VARCHAR, size BIGINT)")
    tables.run("CREATE OR REPLACE TABLE touched (path VARCHAR, store VARCHAR, key VARCHAR, snapshot VARCHAR)")
    return refused


def find_lost(tables: Tables, snapshot: str, *, own: Path, full: bool, missing: Path | None, missing_before: Path | None) -> None:
    """Add to `lost` the references that a snapshot's own list adds and that neither the inventory nor its list of what is missing has.

    What the parent had, the child has too; what the parent missed (`missing_before`) must be there now, be missed still, or be referenced
    no longer.
    """
    tables.run("CREATE OR REPLACE TABLE asked AS SELECT store, key, size FROM read_parquet($1) WHERE change = '+'", [str(own)])
    if not full and missing_before is not None:
        tables.run(
            "INSERT INTO asked SELECT store, key, size FROM read_parquet($1) AS m ANTI JOIN read_parquet($2) AS o USING (store, key)",
            [str(missing_before), str(own)],
        )
    if missing is not None:
        tables.run(
            "CREATE OR REPLACE TABLE asked AS SELECT * FROM asked ANTI JOIN read_parquet($1) AS m USING (store, key)", [str(missing)]
        )
    tables.run(f"INSERT INTO lost SELECT $1, r.* FROM asked AS r ANTI JOIN inventory AS i ON {_FITS}", [snapshot])  # noqa: S608
    tables.run("DROP TABLE asked")


def find_all_lost(tables: Tables, snapshot: str, chain: Sequence[Path]) -> None:
    """Add to `lost` all references of a snapshot that no inventory has, whether it lists them as missing or not."""
    references.replay(tables, chain, into="asked")
    tables.run(f"INSERT INTO lost SELECT $1, r.* FROM asked AS r ANTI JOIN inventory AS i ON {_FITS}", [snapshot])  # noqa: S608
    tables.run("DROP TABLE asked")


def forgive_lost(tables: Tables, snapshot: str, *, at_most: int) -> None:
    """Take the references of a snapshot out of `lost` unless there are more than it says itself that it misses."""
    if tables.row("SELECT count(*) FROM lost WHERE snapshot = $1", [snapshot])[0] <= at_most:
        tables.run("DELETE FROM lost WHERE snapshot = $1", [snapshot])


def count_lost(tables: Tables) -> int:
    """How many objects are referenced and in no inventory."""
    return int(tables.row("SELECT count(DISTINCT (store, key)) FROM lost")[0])


def forget_lost(tables: Tables) -> None:
    """Empty `lost`."""
    tables.run("DELETE FROM lost")


def choose(tables: Tables, snapshot: str, chain: Sequence[Path], *, missing: Path | None) -> None:
    """Add to the table `chosen` the inventory's rows of what one snapshot references, and to `lost` what is not there and not missed."""
    references.replay(tables, chain, into="named")
    if missing is not None:
        tables.run(
            "CREATE OR REPLACE TABLE named AS SELECT * FROM named ANTI JOIN read_parquet($1) AS m USING (store, key)", [str(missing)]
        )
    inventory.versions_at(tables, snapshot, wanted="named", into="chosen_now")
    tables.run("CREATE TABLE IF NOT EXISTS chosen AS SELECT * FROM chosen_now LIMIT 0")
    tables.run("INSERT INTO chosen SELECT * FROM chosen_now ANTI JOIN chosen USING (store, key, snapshot)")
    tables.run("INSERT INTO lost SELECT $1, store, key, size FROM named ANTI JOIN chosen_now USING (store, key)", [snapshot])
    tables.run("DROP TABLE chosen_now")


def plan_places(tables: Tables, *, source: str) -> int:
    """Make the view `places` of the rows of `source`, and return how many there are; a row that leads elsewhere becomes a fault."""
    tables.run("CREATE OR REPLACE VIEW places AS " + _PLACES.replace("{source}", source))
    tables.run(
        f"""
        INSERT INTO faults SELECT {_PATH}, 'tampered', 'the inventory gives it a place that no object can have'
        FROM {source} WHERE NOT coalesce({_SAFE}, false)
        """  # noqa: S608
    )
    return int(tables.row("SELECT count(*) FROM places")[0])


def places(tables: Tables, table: str = "places") -> Iterator[Place]:
    """Stream the files of the pool in no order, but near each other on a disk."""
    return ((row[0], row[1], row[2], row[3]) for row in tables.rows(f"SELECT path, size, sha256, inside FROM {table}"))  # noqa: S608


def begin_listing(tables: Tables) -> None:
    """Make the empty table `listed`."""
    tables.run("CREATE OR REPLACE TABLE listed (path VARCHAR, size BIGINT)")


def add_listed(tables: Tables, page: Sequence[ObjectInfo]) -> None:
    """Append a page of a listing of the pool."""
    if page:
        tables.run("INSERT INTO listed SELECT unnest($1::VARCHAR[]), unnest($2::BIGINT[])", [[e.key for e in page], [e.size for e in page]])


def compare_listed(tables: Tables) -> int:
    """Make the table `unlike` of the places that the listing does not show, or shows with another size; returns how many there are."""
    tables.run(
        """
        CREATE OR REPLACE TABLE unlike AS
        SELECT p.* FROM places AS p LEFT JOIN listed AS l USING (path) WHERE l.path IS NULL OR l.size <> p.size
        """
    )
    tables.run("DROP TABLE listed")
    return int(tables.row("SELECT count(*) FROM unlike")[0])


def add_faults(tables: Tables, found: Sequence[tuple[str, Fault]]) -> None:
    """Append what looking at files showed."""
    if found:
        columns = [[path for path, _ in found], [fault.kind for _, fault in found], [fault.detail for _, fault in found]]
        tables.run("INSERT INTO faults SELECT unnest($1::VARCHAR[]), unnest($2::VARCHAR[]), unnest($3::VARCHAR[])", columns)


def take_sample(tables: Tables, *, after: tuple[str, str], most: int) -> tuple[tuple[str, str] | None, bool]:
    """Fill the table `sample` with the next places behind a position, going round; without those that have a fault already.

    Returns the position of the last of them (SHA-256 and path; None when there is none), and whether the round came to its end.
    """
    order = "ORDER BY sha256, path LIMIT"
    sound = "SELECT DISTINCT path, size, sha256, inside FROM places ANTI JOIN faults USING (path)"
    tables.run(f"CREATE OR REPLACE TABLE sample AS SELECT * FROM ({sound}) WHERE (sha256, path) > ($1, $2) {order} {most}", list(after))  # noqa: S608
    [taken] = tables.row("SELECT count(*) FROM sample")
    if taken < most:
        tables.run(
            f"INSERT INTO sample SELECT * FROM ({sound}) WHERE (sha256, path) <= ($1, $2) {order} {most - taken}",  # noqa: S608
            list(after),
        )
        rest = tables.row("SELECT count(*) FROM sample")[0] - taken
        last = _position(tables, "WHERE (sha256, path) <= ($1, $2)" if rest else "", list(after) if rest else [])
        return last, True
    return _position(tables, "", []), False


def find_touched(tables: Tables, snapshot: str, references_table: str, *, missing: Path | None) -> None:
    """Add to `touched` what a snapshot needs of the faults; `references_table` holds its references, or those of the keys in question."""
    own = f"SELECT r.* FROM {references_table} AS r"  # noqa: S608
    if missing is not None:
        quoted = str(missing).replace("'", "''")
        own += f" ANTI JOIN read_parquet('{quoted}') AS m USING (store, key)"
    tables.run(
        f"""
        INSERT INTO touched
        WITH wanted AS ({own}),
        versions AS (
            SELECT r.store, r.key, arg_max({_PATH.replace("store", "i.store").replace("key", "i.key")}, i.snapshot) AS path
            FROM suspects AS i JOIN wanted AS r ON {_FITS} GROUP BY r.store, r.key
        )
        SELECT path, store, key, $1 FROM versions SEMI JOIN faults USING (path)
        UNION ALL
        SELECT 'objects/' || w.store || '/' || w.key, w.store, w.key, $1
        FROM wanted AS w SEMI JOIN lost USING (store, key) ANTI JOIN versions AS v ON v.store = w.store AND v.key = w.key
        """,  # noqa: S608 - our own names
        [snapshot],
    )


def begin_touched(tables: Tables) -> int:
    """Gather in `suspects` the inventory's rows of every key with a fault; returns how many keys are in question."""
    tables.run(
        f"""
        CREATE OR REPLACE TABLE suspect_keys AS
        SELECT DISTINCT store, key FROM inventory SEMI JOIN faults ON faults.path = {_PATH}
        UNION SELECT DISTINCT store, key FROM lost
        """  # noqa: S608
    )
    tables.run("CREATE OR REPLACE TABLE suspects AS SELECT * FROM inventory SEMI JOIN suspect_keys USING (store, key)")
    tables.run("CREATE OR REPLACE TABLE suspect_references (store VARCHAR, key VARCHAR, size BIGINT)")
    return int(tables.row("SELECT count(*) FROM suspect_keys")[0])


def follow_suspects(tables: Tables, own: Path, *, full: bool) -> None:
    """Bring `suspect_references` from a snapshot's parent to the snapshot itself, by its own list."""
    if full:
        tables.run("DELETE FROM suspect_references")
    else:
        tables.run(
            "DELETE FROM suspect_references AS s USING read_parquet($1) AS o WHERE s.store = o.store AND s.key = o.key",
            [str(own)],
        )
    tables.run(
        """
        INSERT INTO suspect_references
        SELECT store, key, size FROM read_parquet($1) SEMI JOIN suspect_keys USING (store, key) WHERE change = '+'
        """,
        [str(own)],
    )


def count_findings(tables: Tables) -> int:
    """How many findings `findings` gives."""
    return int(tables.row(f"SELECT count(*) FROM ({_FINDINGS})")[0])  # noqa: S608


def touched_snapshots(tables: Tables) -> set[str]:
    """The snapshots that any fault touches."""
    return {row[0] for row in tables.rows("SELECT DISTINCT snapshot FROM touched")}


def findings(tables: Tables) -> Iterator[Finding]:
    """Stream a finding for each object with a fault, sorted by path and key."""
    rows = tables.rows(
        f"""
        SELECT f.kind, f.path, f.key, f.detail, f.store, t.snapshot
        FROM ({_FINDINGS}) AS f LEFT JOIN touched AS t ON t.path = f.path AND t.store = f.store AND t.key = f.key
        ORDER BY f.path, f.store, f.key, t.snapshot
        """  # noqa: S608
    )
    for (kind, path, key, detail, store), group in groupby(rows, key=lambda row: row[:5]):
        yield Finding(kind, path, key, tuple(dict.fromkeys(row[5] for row in group if row[5] is not None)), detail, store)


_FINDINGS = f"""
    SELECT min(f.kind) AS kind, f.path, s.store, s.key, min(f.detail) AS detail
    FROM faults AS f LEFT JOIN suspects AS s ON {_PATH} = f.path GROUP BY f.path, s.store, s.key
    UNION ALL
    SELECT DISTINCT 'missing', 'objects/' || store || '/' || key, store, key, 'is referenced, and no inventory has it' FROM lost
"""  # noqa: S608


def _is_segment(tables: Tables, path: Path) -> bool:
    try:
        inventory.create(tables, [path])
        tables.row(
            "SELECT count(*), max(length(store || key)), max(size + 1), max(stored_size + 1), max(length(sha256 || location || snapshot)), "
            "max(length(stored_sha256 || '')) FROM inventory"
        )
    except RepositoryInvalid:
        return False
    return True


def _position(tables: Tables, where: str, parameters: list[Any]) -> tuple[str, str] | None:
    found = list(tables.rows(f"SELECT sha256, path FROM sample {where} ORDER BY sha256 DESC, path DESC LIMIT 1", parameters))  # noqa: S608
    return (found[0][0], found[0][1]) if found else None
