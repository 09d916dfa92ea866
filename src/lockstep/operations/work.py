"""The work directory of an operation: where tables are compared, and what is left of it is removed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lockstep.errors import DiskFailed


@contextmanager
def work_directory(parent: Path | None) -> Iterator[Path]:
    """A private directory for the length of the block, below `parent` or where the system keeps temporary files.

    Raises DiskFailed when none can be made there.
    """
    try:
        directory = Path(tempfile.mkdtemp(prefix="lockstep-", dir=parent))
    except OSError as error:
        place = parent or tempfile.gettempdir()
        raise DiskFailed(
            f"no work directory can be made in '{place}': {error.strerror}", hint="Name another place with --temp-dir."
        ) from error
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
