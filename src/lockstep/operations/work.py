"""The work directory of an operation: where tables are compared, and what is left of it is removed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lockstep.errors import DiskFailed

PREFIX = "lockstep-work-"
MARKER = ".lockstep-work"
"""A file in each work directory, locked while its owner lives: only a directory with a free one is a leftover."""


@contextmanager
def work_directory(parent: Path | None) -> Iterator[Path]:
    """A private directory for the length of the block, below `parent` or where the system keeps temporary files.

    What killed processes of this user left there goes at the same time. Raises DiskFailed when none can be made there.
    """
    try:
        _remove_leftovers(Path(parent or tempfile.gettempdir()))
        directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        marker = os.open(directory / MARKER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(marker, fcntl.LOCK_EX)
    except OSError as error:
        place = parent or tempfile.gettempdir()
        raise DiskFailed(
            f"no work directory can be made in '{place}': {error.strerror}", hint="Name another place with --temp-dir."
        ) from error
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(marker)


def _remove_leftovers(parent: Path) -> None:
    for found in parent.glob(f"{PREFIX}*/{MARKER}"):
        with suppress(OSError):  # not ours, or gone meanwhile
            marker = os.open(found, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                if os.fstat(marker).st_uid == os.getuid():
                    fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(found.parent, ignore_errors=True)
            finally:
                os.close(marker)
