"""References held against a listing: what is missing, what is of another size, what nobody references."""

from __future__ import annotations

import csv
import json
import threading
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from lockstep.errors import DiskFailed, LockstepError
from lockstep.model.audit import Amount, AuditFinding, OrphanObject, WhyFound
from lockstep.model.objects import ObjectInfo
from lockstep.tables.engine import Tables

CHUNK_BYTES = 8 << 20
"""How much of a listing is written to a file before it becomes rows of the table."""

_ROWS = """
    SELECT store, key, size, make_timestamp(modified) FROM
    read_csv($1, auto_detect=false, header=false, delim=',', quote='"', escape='"', nullstr='', allow_quoted_nulls=false, new_line='\\n',
             strict_mode=true, parallel=false, max_line_size=1000000,
             columns={'store': 'VARCHAR', 'key': 'VARCHAR', 'size': 'BIGINT', 'modified': 'BIGINT'})
"""

# A size that the metadata does not say fits everything; -1 (two rows that disagree) fits nothing.
_SUSPECTS = """
    CREATE OR REPLACE TABLE suspects AS
    SELECT r.store, r.key, r.size, l.size AS found_size FROM references_before AS r LEFT JOIN listed AS l USING (store, key)
    WHERE l.key IS NULL OR (r.size IS NOT NULL AND r.size <> l.size)
"""
_UNREFERENCED = "CREATE OR REPLACE TABLE unreferenced AS SELECT * FROM listed ANTI JOIN references_before USING (store, key)"

_FINDINGS = """
    CREATE OR REPLACE TABLE findings AS
    SELECT s.store, s.key, n.size, CASE WHEN s.found_size IS NULL THEN 'lost' ELSE 'wrong_size' END AS why, s.found_size,
           NULL::VARCHAR AS found_key, NULL::VARCHAR AS found_version, NULL::VARCHAR AS known,
           NULL::VARCHAR AS since, NULL::VARCHAR AS copied
    FROM suspects AS s JOIN references_now AS n USING (store, key)
    WHERE s.found_size IS NULL OR (n.size IS NOT NULL AND n.size <> s.found_size)
"""
_PURGED = "CREATE OR REPLACE TABLE purged AS SELECT store, key, size FROM suspects ANTI JOIN references_now USING (store, key)"
_ORPHANS = """
    CREATE OR REPLACE TABLE orphans AS
    SELECT *, coalesce(modified >= $1, false) AS in_flight FROM unreferenced ANTI JOIN references_now USING (store, key)
"""
_COLUMNS = "store, key, size, why, found_size, found_key, found_version, known, since, copied"


class Listing:
    """The table `listed`, or another one (store, key, size, modified in UTC), filled by many threads at once."""

    def __init__(self, tables: Tables, *, table: str = "listed", chunk_bytes: int = CHUNK_BYTES) -> None:
        self._tables, self._table, self._chunk_bytes = tables, table, chunk_bytes
        self._lock = threading.Lock()
        self._path = tables.directory / f"{table}.csv"
        self._sent = 0
        tables.run(f"CREATE OR REPLACE TABLE {table} (store VARCHAR, key VARCHAR, size BIGINT, modified TIMESTAMP)")

    def add(self, store: str, page: Sequence[ObjectInfo]) -> None:
        """Append a page. Raises DiskFailed when the work directory is full."""
        rows = [(store, each.key, each.size, _microseconds(each.modified)) for each in page]
        with self._lock:
            try:
                with self._path.open("a", encoding="utf-8", newline="") as out:
                    csv.writer(out, lineterminator="\n").writerows(rows)
                    length = out.tell()
            except OSError as error:
                raise DiskFailed(
                    f"the work directory '{self._path.parent}' cannot be written: {error.strerror}", hint="Name another with --temp-dir."
                ) from error
            self._sent += len(rows)
            if length >= self._chunk_bytes:
                self._take()

    def close(self, *, has_doubles: bool) -> None:
        """Take in the rest. Raises LockstepError when an object got lost on the way.

        A listing that was begun again in the middle may show an object twice: then `has_doubles` says to look for them, which is dear.
        """
        with self._lock:
            self._take()
            arrived = int(self._tables.row(f"SELECT count(*) FROM {self._table}")[0])  # noqa: S608
            if arrived != self._sent:
                raise LockstepError(f"of {self._sent} listed objects {arrived} arrived", hint="Run it again, and report this.")
            if has_doubles:
                self._tables.run(f"CREATE OR REPLACE TABLE {self._table} AS SELECT DISTINCT * FROM {self._table}")  # noqa: S608

    def _take(self) -> None:
        if self._path.exists():
            self._tables.run(f"INSERT INTO {self._table} {_ROWS}", [str(self._path)])
            self._path.unlink()


def keep_first_references(tables: Tables) -> None:
    """Let `references_now` be the references at the audit's beginning, so that later ones can be read beside them."""
    tables.run("DROP TABLE IF EXISTS references_before")
    tables.run("ALTER TABLE references_now RENAME TO references_before")


def later_references_are_the_first(tables: Tables) -> None:
    """Compare with the first references alone: nothing was found that a second look could change."""
    tables.run("CREATE OR REPLACE VIEW references_now AS SELECT * FROM references_before")


def sample_keys(tables: Tables, store: str, *, most: int) -> tuple[list[str], int]:
    """Some of the first references' keys in a store, in no order, and how many there are."""
    of_store = "SELECT key FROM references_before WHERE store = $1"
    keys = [row[0] for row in tables.rows(f"SELECT key FROM ({of_store}) USING SAMPLE reservoir({most} ROWS)", [store])]  # noqa: S608
    return keys, int(tables.row("SELECT count(*) FROM references_before WHERE store = $1", [store])[0])


def stores_referenced(tables: Tables) -> list[str]:
    """The stores that the first references name."""
    return [row[0] for row in tables.rows("SELECT DISTINCT store FROM references_before ORDER BY store")]


def compare(tables: Tables) -> tuple[int, Amount]:
    """Fill `suspects` and `unreferenced` from the first references and the listing; how many of the one, how much of the other."""
    tables.run(_SUSPECTS)
    tables.run(_UNREFERENCED)
    return int(tables.row("SELECT count(*) FROM suspects")[0]), _amount(tables, "unreferenced")


def newest_unreferenced(tables: Tables) -> datetime | None:
    """When the youngest of `unreferenced` was stored, as naive UTC; None when that is not known."""
    found: datetime | None = tables.row("SELECT max(modified) FROM unreferenced")[0]
    return found


def suspects(tables: Tables, *, skip: int = 0, most: int | None = None) -> Iterator[tuple[str, str, int | None]]:
    """Stream store, key and found size of `suspects`, in an order that is as good as chance and always the same."""
    limit = "" if most is None else f"LIMIT {most}"
    return (
        (row[0], row[1], row[2])
        for row in tables.rows(f"SELECT store, key, found_size FROM suspects ORDER BY hash(key), store, key {limit} OFFSET {skip}")  # noqa: S608
    )


def add_answers(tables: Tables, answers: Sequence[tuple[str, str, int | None]]) -> None:
    """Keep what a HEAD said of suspects: store, key and size (None: not there)."""
    tables.run("CREATE TABLE IF NOT EXISTS answers (store VARCHAR, key VARCHAR, size BIGINT)")
    if answers:
        columns = [list(column) for column in zip(*answers, strict=True)]
        tables.run("INSERT INTO answers SELECT unnest($1::VARCHAR[]), unnest($2::VARCHAR[]), unnest($3::BIGINT[])", columns)


def believe_answers(tables: Tables) -> int:
    """Let the answers take the place of what the listing said of suspects; of how many they say something else."""
    differ = "FROM answers AS a WHERE s.store = a.store AND s.key = a.key AND s.found_size IS DISTINCT FROM a.size"
    changed = int(tables.row(f"SELECT count(*) FROM suspects AS s, {differ.removeprefix('FROM ')}")[0])  # noqa: S608
    tables.run(f"UPDATE suspects AS s SET found_size = a.size {differ}")  # noqa: S608
    tables.run("DELETE FROM answers")
    return changed


def decide(tables: Tables, *, started: datetime) -> None:
    """Fill `findings`, `purged` and `orphans` with what `references_now`, read after the listing, makes of the suspects."""
    tables.run(_FINDINGS)
    tables.run(_PURGED)
    tables.run(_ORPHANS, [started.replace(tzinfo=None)])


def note_places(tables: Tables, store: str, places: Sequence[tuple[str, str, str | None]]) -> None:
    """Record where the bytes of findings still are: key, the key they are under, the version's id (None: the current one)."""
    if places:
        tables.run(
            """
            UPDATE findings SET found_key = p.found_key, found_version = p.version,
                   why = CASE WHEN why = 'wrong_size' THEN why WHEN p.version IS NULL THEN 'older_key' ELSE 'older_version' END
            FROM (SELECT unnest($2::VARCHAR[]) AS key, unnest($3::VARCHAR[]) AS found_key, unnest($4::VARCHAR[]) AS version) AS p
            WHERE findings.store = $1 AND findings.key = p.key
            """,
            [store, *(list(column) for column in zip(*places, strict=True))],
        )


def forgive_orphans(tables: Tables) -> None:
    """Take out of `orphans` what holds the bytes of a missing object under an older key."""
    tables.run("DELETE FROM orphans WHERE (store, key) IN (SELECT store, found_key FROM findings WHERE why = 'older_key')")


def listed_sizes(tables: Tables, store: str, keys: Sequence[str]) -> dict[str, int]:
    """The sizes of those of the keys that were listed."""
    found = tables.rows("SELECT key, size FROM listed WHERE store = $1 AND key IN (SELECT unnest($2::VARCHAR[]))", [store, list(keys)])
    return {row[0]: row[1] for row in found}


def note_known(tables: Tables, known: Sequence[tuple[str, dict[str, str]]]) -> None:
    """Record what the profile knows of keys."""
    if known:
        tables.run(
            "UPDATE findings SET known = k.known FROM (SELECT unnest($1::VARCHAR[]) AS key, unnest($2::VARCHAR[]) AS known) AS k "
            "WHERE findings.key = k.key",
            [[key for key, _ in known], [json.dumps(labels, ensure_ascii=False) for _, labels in known]],
        )


def finding_batches(tables: Tables, *, size: int, most: int) -> Iterator[list[AuditFinding]]:
    """The first findings, sorted, at most `size` of one store at a time and about `most` in all; they may be changed meanwhile."""
    done, store, key = 0, "", ""
    while done < most:
        behind = "store > $1 OR (store = $1 AND key > $2)"
        rows = tables.rows(f"SELECT {_COLUMNS} FROM findings WHERE {behind} ORDER BY store, key LIMIT {size}", [store, key])  # noqa: S608
        found = [_finding(row) for row in rows]
        if not found:
            return
        batch = [each for each in found if each.store == found[0].store]
        yield batch
        done, store, key = done + len(batch), batch[-1].store, batch[-1].key


def findings(tables: Tables, *, missing: bool | None = None, most: int | None = None) -> Iterator[AuditFinding]:
    """Stream findings, sorted by store and key: all, those that are missing, or those of another size."""
    where = "" if missing is None else f"WHERE why {'<>' if missing else '='} 'wrong_size'"
    limit = "" if most is None else f"LIMIT {most}"
    rows = tables.rows(f"SELECT {_COLUMNS} FROM findings {where} ORDER BY store, key {limit}")  # noqa: S608
    return map(_finding, rows)


def count_findings(tables: Tables) -> dict[WhyFound, Amount]:
    """How much there is of each fault, by what the references say of it."""
    rows = tables.rows("SELECT why, count(*), coalesce(sum(size) FILTER (size > 0), 0)::BIGINT FROM findings GROUP BY why ORDER BY why")
    return {row[0]: Amount(row[1], row[2]) for row in rows}


def count_recoverable(tables: Tables) -> int:
    """How many findings have their bytes somewhere in the store."""
    return int(tables.row("SELECT count(*) FROM findings WHERE found_key IS NOT NULL")[0])


def count_purged(tables: Tables) -> Amount:
    """How much was purged while the audit ran."""
    return _amount(tables, "purged")


def count_orphans(tables: Tables) -> tuple[Amount, Amount]:
    """The orphans, and what was stored while the audit ran."""
    return _amount(tables, "orphans", where="NOT in_flight"), _amount(tables, "orphans", where="in_flight")


def orphans(tables: Tables) -> Iterator[OrphanObject]:
    """Stream the orphans, sorted by store and key."""
    rows = tables.rows("SELECT store, key, size, modified FROM orphans WHERE NOT in_flight ORDER BY store, key")
    return (OrphanObject(*row) for row in rows)


def _finding(row: tuple[Any, ...]) -> AuditFinding:
    return AuditFinding(*(*row[:7], json.loads(row[7]) if row[7] else {}, *row[8:]))


def _amount(tables: Tables, table: str, *, where: str = "true") -> Amount:
    row = tables.row(f"SELECT count(*), coalesce(sum(size) FILTER (size > 0), 0)::BIGINT FROM {table} WHERE {where}")  # noqa: S608
    return Amount(*row)


def _microseconds(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1_000_000)
