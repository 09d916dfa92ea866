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
        directory, marker = _made(parent)
    except OSError as error:
        place = parent or tempfile.gettempdir()
        raise DiskFailed(
            f"no work directory can be made in '{place}': {error.strerror}", hint="Name another place with --temp-dir."
        ) from error
    try:
        yield directory
    finally:
        _remove(directory)
        os.close(marker)


def _made(parent: Path | None) -> tuple[Path, int]:
    """A new directory and its locked marker. Until it is locked, somebody who tidies may take it for a leftover: then another one."""
    while True:
        directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        with suppress(FileNotFoundError):
            marker = os.open(directory / MARKER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(marker, fcntl.LOCK_EX)
            if os.fstat(marker).st_nlink:
                return directory, marker
            os.close(marker)


def _remove(directory: Path) -> None:
    """Remove a work directory, its marker last: whoever is killed meanwhile leaves one that is known for what it is, or empty."""
    with suppress(OSError):
        _remove_all_but_the_marker(directory)
    shutil.rmtree(directory, ignore_errors=True)


def _remove_all_but_the_marker(directory: Path) -> None:
    for path in directory.iterdir():
        if path.name == MARKER:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _remove_leftovers(parent: Path) -> None:
    for directory in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):  # not ours, or gone meanwhile, or not empty
            if directory.stat().st_uid == os.getuid():
                directory.rmdir()  # killed before it had its marker, or when it had none any more
        with suppress(OSError):
            marker = os.open(directory / MARKER, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                if os.fstat(marker).st_uid == os.getuid():
                    fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _remove(directory)
            finally:
                os.close(marker)
