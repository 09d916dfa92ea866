"""Parquet files that unfold to far more than lockstep ever puts into so few bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lockstep.errors import RepositoryInvalid
from lockstep.tables.engine import Tables

MOST_ROWS_A_BYTE = 20
"""A row of ours names an object, no two rows name the same, and what tells keys apart takes room: even keys that only count upwards take a
byte or two each. A file in which one value is repeated has many thousand rows for each of its bytes."""

ALWAYS_READ = 1_000_000
"""A file with no more rows than this is read whatever it is: that costs a second."""


def refuse_swollen(tables: Tables, files: Sequence[Path]) -> None:
    """Raise RepositoryInvalid for a file that cannot be ours, before any of its rows are read."""
    if not files:
        return
    paths = {str(path): path.stat().st_size for path in files}
    for name, rows in tables.rows("SELECT file_name, num_rows FROM parquet_file_metadata($1)", [list(paths)]):
        if rows > max(ALWAYS_READ, MOST_ROWS_A_BYTE * paths[name]):
            raise RepositoryInvalid(
                f"'{Path(name).name}' has {rows:,} rows in {paths[name]:,} bytes, which no list of lockstep has",
                hint="Somebody changed the repository. Run 'lockstep verify', and restore from a copy.",
            )
