"""The directory that an export fills: empty at first, marked while it is unfinished, and free of lockstep's own files at the end."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lockstep.errors import DiskFailed, TargetRefused
from lockstep.objects.local import LocalStore
from lockstep.repository.private import make_private_directory

OWN = ".lockstep-export"
"""What only an unfinished export has: its mark, and files that have no names yet. Beside the objects, so that no upload takes it along."""

_MARK = "export.json"


@dataclass(frozen=True, slots=True)
class ExportPlace:
    """A directory to fill; `resumed` is true when a killed export of the same snapshot has begun to."""

    root: Path
    resumed: bool

    @property
    def work(self) -> Path:
        """Where files grow before they get their names."""
        return self.root / OWN / "work"

    def store(self, name: str = "") -> LocalStore:
        """The directory, or one in it, as a store whose files only their owner can read: a dump holds everything."""
        return LocalStore(self.root / name, private=True, temporary=self.work)


@contextmanager
def export_place(root: Path, *, repository: str, snapshot: str) -> Iterator[ExportPlace]:
    """The directory, ours for the length of the block; made when it is not there. When the block ends well the mark goes.

    Raises TargetRefused when other things lie there, or another export works there, and DiskFailed.
    """
    mark = {"repository": repository, "snapshot": snapshot}
    try:
        resumed = _begin(root, mark)
        holder = os.open(root / OWN / _MARK, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise DiskFailed(f"'{root}' cannot be filled: {error.strerror}", hint="Check the disk and the permissions.") from error
    try:
        try:
            fcntl.flock(holder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TargetRefused(f"another export works in '{root}'", hint="Wait until it is over, or name another directory.") from error
        place = ExportPlace(root, resumed)
        shutil.rmtree(place.work, ignore_errors=True)
        yield place
        place.store().flush()  # first the files are durable, then nothing says any more that they may not be whole
        shutil.rmtree(root / OWN, ignore_errors=True)
    finally:
        os.close(holder)


def _begin(root: Path, mark: dict[str, str]) -> bool:
    if root.exists() and not root.is_dir():
        raise TargetRefused(f"'{root}' is not a directory", hint="Name a directory that is empty or does not exist yet.")
    make_private_directory(root.absolute())
    found = {path.name for path in root.iterdir()}
    if (root / OWN / _MARK).is_file():
        if json.loads((root / OWN / _MARK).read_text(encoding="utf-8")) != mark:
            raise TargetRefused(
                f"'{root}' holds an unfinished export of another snapshot", hint="Name that snapshot to finish it, or another directory."
            )
        return True
    if found - {OWN}:
        raise TargetRefused(f"'{root}' is not empty", hint="Name a directory that is empty or does not exist yet.")
    make_private_directory((root / OWN).absolute())
    growing = root / OWN / "new"
    growing.write_text(json.dumps(mark), encoding="utf-8")
    growing.rename(root / OWN / _MARK)
    return False
