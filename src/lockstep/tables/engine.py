"""One DuckDB database in a work directory: bounded memory, spilling to disk, nothing fetched from anywhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from lockstep.errors import DiskFailed, LockstepError, RepositoryInvalid

ROWS_AT_ONCE = 4096
"""How many rows are fetched from DuckDB into Python at a time: large enough to be fast, small enough not to be seen in memory."""


@dataclass(frozen=True, slots=True)
class TableLimits:
    """What the set algebra may use. The memory is DuckDB's own limit; its buffers and the interpreter come on top (about 80 MB).

    A statement that cannot be done in `memory_mb`, spilling included, is tried with twice as much, up to `most_memory_mb`: a backup that
    took hours must not fail at its end over a bound that is there for small machines.
    """

    memory_mb: int = 72
    most_memory_mb: int = 1152
    threads: int = 2


class Tables:
    """Tables of one operation. Everything lies under `directory`, which the caller removes.

    One statement runs at a time; any thread may ask.
    """

    def __init__(self, directory: Path, *, limits: TableLimits | None = None) -> None:
        limits = limits or TableLimits()
        self.directory = directory
        self._memory_mb, self._most_memory_mb = limits.memory_mb, limits.most_memory_mb
        self._lock = threading.RLock()
        spill = directory / "spill"
        spill.mkdir(parents=True, exist_ok=True)
        with translated("the work directory", directory):
            self._connection = duckdb.connect(
                ":memory:",
                config={
                    "memory_limit": f"{limits.memory_mb}MB",
                    "threads": limits.threads,
                    "temp_directory": str(spill),
                    "preserve_insertion_order": False,
                    "autoinstall_known_extensions": False,
                    "autoload_known_extensions": False,
                },
            )

    def run(self, sql: str, parameters: Sequence[Any] = (), *, once: bool = False) -> None:
        """Run one statement that gives no rows; `once` when it must not be tried again, since it reads what is gone then, as a pipe."""
        with self._lock, translated("the work directory", self.directory):
            self._execute(self._connection, sql, parameters, most_memory_mb=0 if once else self._most_memory_mb)

    def row(self, sql: str, parameters: Sequence[Any] = ()) -> tuple[Any, ...]:
        """Run a statement that gives exactly one row."""
        with self._lock, translated("the work directory", self.directory):
            found = self._execute(self._connection, sql, parameters, most_memory_mb=self._most_memory_mb).fetchone()
        assert found is not None, sql
        return tuple(found)

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Stream the rows of a statement, on a cursor of its own, so that other statements may run meanwhile."""
        with self._lock:
            cursor = self._connection.cursor()
        try:
            with translated("the work directory", self.directory):
                self._execute(cursor, sql, parameters, most_memory_mb=self._most_memory_mb)
            while True:
                with translated("the work directory", self.directory):
                    batch = cursor.fetchmany(ROWS_AT_ONCE)
                if not batch:
                    return
                yield from batch
        finally:
            cursor.close()

    def _execute(
        self, connection: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[Any], *, most_memory_mb: int
    ) -> duckdb.DuckDBPyConnection:
        while True:
            try:
                return connection.execute(sql, list(parameters))
            except duckdb.OutOfMemoryException as error:
                if self._memory_mb * 2 > most_memory_mb or "No space left" in str(error):
                    raise
                self._memory_mb *= 2
                connection.execute(f"SET memory_limit = '{self._memory_mb}MB'")

    def close(self) -> None:
        """Give back memory and temporary files."""
        with self._lock:
            self._connection.close()


@contextmanager
def translated(what: str, path: Path) -> Iterator[None]:
    """DuckDB's errors as ours: a full disk is the disk's, an unreadable table is the repository's."""
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise DiskFailed(
            f"{what} '{path}' has no room left for sorting and comparing",
            hint="Free some room there, or name another place with --temp-dir.",
        ) from error
    except duckdb.IOException as error:
        if "No space left" in str(error):
            raise DiskFailed(f"{what} '{path}' is full", hint="Free some room there, or name another place with --temp-dir.") from error
        raise _unreadable(error) from error
    except (duckdb.InvalidInputException, duckdb.ConversionException, duckdb.BinderException, duckdb.SerializationException) as error:
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> LockstepError:
    first = str(error).strip().splitlines()[0]
    return RepositoryInvalid(f"a table cannot be read: {first}", hint="Run 'lockstep verify' to see what is damaged.")
