from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lockstep.tables.engine import TableLimits, Tables


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[Tables]:
    """Empty tables in a work directory of their own."""
    made = Tables(tmp_path / "work", limits=TableLimits(threads=1))
    yield made
    made.close()
