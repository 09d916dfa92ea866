"""References: from the database's COPY into a table, and to and from the files of a chain of snapshots."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from lockstep.errors import LockstepError
from lockstep.tables.engine import Tables
from lockstep.tables.swollen import refuse_swollen

COLUMNS = ("store", "key", "size", "etag", "sha256")
"""The columns of `references_now`, and of the CSV that `load` reads, in this order; the last three may be empty."""

_PIPE_BYTES = 1 << 20
"""Lets the database's rows and their reader run apart for a moment; Linux allows this much to everyone."""

_PARQUET = "(FORMAT parquet, COMPRESSION zstd)"

_READ_CSV = """
    read_csv($1, auto_detect=false, header=false, delim=',', quote='"', escape='"', nullstr='', allow_quoted_nulls=false,
             new_line='\\n', strict_mode=true, max_line_size=1000000, columns={columns})
"""

# Numbers are counted several times faster than text, and two keys with the same hash only cost the closer look.
_MAYBE_DOUBLES = "SELECT count(*) > count(DISTINCT {name}) FROM references_now"

# Aggregates over text are kept in memory whole, those over numbers are spilled; so doubles are looked for first and merged by themselves.
_DOUBLES = "CREATE OR REPLACE TABLE doubles AS SELECT store, key FROM references_now GROUP BY store, key HAVING count(*) > 1"

# Two rows may name one object. Where they disagree about its size neither can be trusted, and -1 can equal no object's size.
_MERGE = """
    CREATE OR REPLACE TABLE references_now AS
    SELECT * FROM references_now ANTI JOIN doubles USING (store, key)
    UNION ALL
    SELECT store, key, CASE WHEN min(size) = max(size) THEN min(size) WHEN min(size) IS NOT NULL THEN -1 END, min(etag), min(sha256)
    FROM references_now SEMI JOIN doubles USING (store, key) GROUP BY store, key
"""


@dataclass(frozen=True, slots=True)
class ReferenceCounts:
    """How many objects the references name and how many bytes they say these have."""

    objects: int
    size_bytes: int


def load(tables: Tables, blocks: Generator[bytes, None, int], *, columns: Sequence[str] = COLUMNS, store: str = "main") -> ReferenceCounts:
    """Fill the table `references_now` from CSV blocks; one row an object remains.

    `columns` are those of the CSV, in the order of COLUMNS: key and size are among them, and rows without a store are of `store`.

    The blocks flow through a pipe into DuckDB, so that memory stays bounded. What raises in `blocks` is raised here. `blocks` returns how
    many rows it gave: a reference that got lost on the way would be missed by nobody, so LockstepError is raised when fewer arrive.
    """
    pipe = tables.directory / "references.pipe"
    os.mkfifo(pipe, 0o600)
    feeder = _Feeder(blocks, pipe)
    feeder.start()
    try:
        tables.run(_loading(columns, store), [str(pipe)], once=True)
    except LockstepError:
        if feeder.error is None:
            raise
    finally:
        _wait_for(feeder, pipe)
        pipe.unlink()
    if feeder.error is not None:
        raise feeder.error
    arrived = int(tables.row("SELECT count(*) FROM references_now")[0])
    if arrived != feeder.sent:
        raise LockstepError(f"of {feeder.sent} references {arrived} arrived", hint="Run the same command again, and report this.")
    merge_doubles(tables)
    return counts(tables, "references_now")


def _loading(columns: Sequence[str], store: str) -> str:
    types = ", ".join(f"'{name}': '{'BIGINT' if name == 'size' else 'VARCHAR'}'" for name in columns)
    absent = {"store": f"'{_quoted(store)}'"}
    chosen = ", ".join(name if name in columns else f"{absent.get(name, 'NULL::VARCHAR')} AS {name}" for name in COLUMNS)
    source = _READ_CSV.replace("{columns}", "{" + types + "}")
    return f"CREATE OR REPLACE TABLE references_now AS SELECT {chosen} FROM {source} WHERE key IS NOT NULL"  # noqa: S608 - a quoted name


def merge_doubles(tables: Tables) -> None:
    """Leave one row an object in `references_now`."""
    name = "hash(store, key)" if only_store(tables, "references_now") is None else "hash(key)"
    if tables.row(_MAYBE_DOUBLES.format(name=name))[0]:
        tables.run(_DOUBLES)
        tables.run(_MERGE)


def counts(tables: Tables, table: str) -> ReferenceCounts:
    """How much a table of references names."""
    objects, size_bytes = tables.row(f"SELECT count(*), coalesce(sum(size) FILTER (size > 0), 0) FROM {table}")  # noqa: S608
    return ReferenceCounts(objects, size_bytes)


def replay(tables: Tables, chain: Sequence[Path], *, into: str) -> None:
    """Fill the table `into` (store, key, size) with the references at the end of a chain of files, oldest first.

    The first file is a full list, the others are changes: `+` names an object from then on (or gives its new size), `-` no longer.
    """
    refuse_swollen(tables, chain)
    tables.run(f"CREATE OR REPLACE TABLE {into} AS {_replayed(chain)}")


def view_replay(tables: Tables, chain: Sequence[Path], *, into: str) -> None:
    """The same as a view, for who reads it once: a million references are not written down in between."""
    refuse_swollen(tables, chain)
    tables.run(f"CREATE OR REPLACE VIEW {into} AS {_replayed(chain)}")


def save_full(tables: Tables, path: Path) -> None:
    """Write `references_now` as a full list, sorted by store and key (which makes it several times smaller)."""
    tables.run(f"COPY (SELECT store, key, size, '+' AS change FROM references_now ORDER BY store, key) TO '{_quoted(path)}' {_PARQUET}")  # noqa: S608


def save_changes(tables: Tables, path: Path, *, since: str) -> None:
    """Write what `references_now` adds to and takes away from the table or view `since`, sorted by store and key.

    Each of the two is read once. Where all references name one store, keys alone are compared: a third less to hash and to keep in memory.
    """
    one = only_store(tables, "references_now")
    here = f"store = '{_quoted(one)}'" if one is not None else "true"
    same = "now.key = old.key" if one is not None else "now.store = old.store AND now.key = old.key"
    tables.run(
        f"""
        COPY (
            SELECT * FROM (
                SELECT coalesce(now.store, old.store) AS store, coalesce(now.key, old.key) AS key,
                       CASE WHEN now.key IS NULL THEN old.size ELSE now.size END AS size,
                       CASE WHEN now.key IS NULL THEN '-' ELSE '+' END AS change
                FROM references_now AS now FULL JOIN (SELECT * FROM {since} WHERE {here}) AS old ON {same}
                WHERE now.key IS NULL OR old.key IS NULL OR now.size IS DISTINCT FROM old.size
                UNION ALL
                SELECT store, key, size, '-' FROM {since} WHERE NOT ({here})
            ) ORDER BY store, key
        ) TO '{_quoted(path)}' {_PARQUET}
        """  # noqa: S608
    )


def only_store(tables: Tables, table: str) -> str | None:
    """The store that all rows of a table name; None when there are several, or no rows."""
    least, most = tables.row(f"SELECT min(store), max(store) FROM {table}")  # noqa: S608
    return str(least) if least is not None and least == most else None


def _replayed(chain: Sequence[Path]) -> str:
    full, *changes = (f"read_parquet('{_quoted(path)}')" for path in chain)
    if not changes:
        return f"SELECT store, key, size FROM {full}"  # noqa: S608 - our own file name
    steps = " UNION ALL ".join(
        f"SELECT store, key, size, change, {number} AS step FROM {file}"  # noqa: S608 - our own file name
        for number, file in enumerate(changes)
    )
    return f"""
        WITH steps AS MATERIALIZED ({steps}), last AS MATERIALIZED (SELECT store, key, max(step) AS step FROM steps GROUP BY store, key)
        SELECT store, key, size FROM {full} ANTI JOIN last USING (store, key)
        UNION ALL
        SELECT store, key, size FROM steps SEMI JOIN last USING (store, key, step) WHERE change = '+'
    """  # noqa: S608 - our own file names


class _Feeder(threading.Thread):
    """Writes blocks into a pipe. `sent` is the number of rows that the blocks' maker counted, `error` what stopped them."""

    def __init__(self, blocks: Generator[bytes, None, int], pipe: Path) -> None:
        super().__init__(name="references", daemon=True)
        self.sent = 0
        self.error: BaseException | None = None
        self._blocks, self._pipe = blocks, pipe

    def run(self) -> None:
        try:
            # Buffered, although the blocks are large: an unbuffered write to a pipe may take only a part when a signal comes.
            with self._pipe.open("wb") as out:
                _widen(out)
                while True:
                    out.write(next(self._blocks))
        except StopIteration as end:
            self.sent = end.value
        except BrokenPipeError:
            pass  # the reading side failed and says why
        except BaseException as error:  # noqa: BLE001 - carried to the thread that waits
            self.error = error


def _widen(pipe: IO[bytes]) -> None:
    set_size = getattr(fcntl, "F_SETPIPE_SZ", None)
    if set_size is not None:
        with suppress(OSError):  # the user's share of pipe memory is used up: it works with less
            fcntl.fcntl(pipe, set_size, _PIPE_BYTES)


def _wait_for(feeder: threading.Thread, pipe: Path) -> None:
    """Wait for the end of a writer, and let it go if it waits, or is just about to, for somebody to open the pipe for reading."""
    while feeder.is_alive():
        os.close(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK))
        feeder.join(0.05)


def _quoted(text: Path | str) -> str:
    return str(text).replace("'", "''")
