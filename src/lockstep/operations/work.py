"""The work directory of an operation: where tables are compared, and what is left of it is removed."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lockstep.errors import DiskFailed

_NAME = re.compile(r"lockstep-(\d+)-")


@contextmanager
def work_directory(parent: Path | None) -> Iterator[Path]:
    """A private directory for the length of the block, below `parent` or where the system keeps temporary files.

    What killed processes of this user left there goes at the same time. Raises DiskFailed when none can be made there.
    """
    try:
        _remove_leftovers(Path(parent or tempfile.gettempdir()))
        directory = Path(tempfile.mkdtemp(prefix=f"lockstep-{os.getpid()}-", dir=parent))
    except OSError as error:
        place = parent or tempfile.gettempdir()
        raise DiskFailed(
            f"no work directory can be made in '{place}': {error.strerror}", hint="Name another place with --temp-dir."
        ) from error
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _remove_leftovers(parent: Path) -> None:
    for found in parent.glob("lockstep-*"):
        owner = _NAME.match(found.name)
        with suppress(OSError):
            if owner and found.stat().st_uid == os.getuid() and not _is_alive(int(owner[1])):
                shutil.rmtree(found, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
