"""Directories that only their owner may enter, whatever the umask."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def make_private_directory(path: Path) -> None:
    """Make a directory and all that is missing above it with mode 0700. Raises OSError."""
    for each in (*reversed(path.parents), path):
        with suppress(FileExistsError):
            each.mkdir(mode=0o700)
