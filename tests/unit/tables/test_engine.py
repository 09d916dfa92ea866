from __future__ import annotations

from pathlib import Path

import pytest

from lockstep.errors import DiskFailed
from lockstep.tables.engine import TableLimits, Tables

# An aggregate over text that is kept in memory whole: it cannot be spilled, however much room the disk has.
HUNGRY = "SELECT length(string_agg(md5(range::VARCHAR), '')) FROM range(1000000)"


def test_a_statement_that_does_not_fit_gets_more_memory_up_to_a_bound(tmp_path: Path) -> None:
    tables = Tables(tmp_path, limits=TableLimits(memory_mb=18, most_memory_mb=288, threads=1))
    try:
        assert tables.row(HUNGRY) == (32_000_000,)
    finally:
        tables.close()


def test_a_statement_that_does_not_fit_into_the_bound_names_the_work_directory(tmp_path: Path) -> None:
    tables = Tables(tmp_path, limits=TableLimits(memory_mb=18, most_memory_mb=18, threads=1))
    try:
        with pytest.raises(DiskFailed, match="no room left for sorting"):
            tables.row(HUNGRY)
    finally:
        tables.close()


def test_a_statement_that_reads_a_pipe_is_not_tried_twice(tmp_path: Path) -> None:
    tables = Tables(tmp_path, limits=TableLimits(memory_mb=18, most_memory_mb=288, threads=1))
    try:
        with pytest.raises(DiskFailed, match="no room left for sorting"):
            tables.run(f"CREATE TABLE made AS {HUNGRY}", once=True)
    finally:
        tables.close()
