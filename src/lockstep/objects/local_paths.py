"""Where the object of a key lies on a local disk: the directories above it, what may be written there, and what a failure there means."""

# ruff: noqa: PTH103, PTH106, PTH120
# paths are plain text here: pathlib would be a third of the time of writing a small object

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from lockstep.errors import BucketNotFound, DiskFailed, KeyRefused, LockstepError, ObjectNotFound, PermissionMissing
from lockstep.objects import system
from lockstep.objects.keys import file_name_fault, is_inside

TEMPORARY = ".lockstep-tmp"
"""Where files are made, below the root, when nobody names another place."""

_KNOWN_DIRECTORIES = 100_000
"""Directories that are remembered as real, at most; about 15 MB."""


class Paths:
    """The paths below one root. `root` and `temporary` are absolute and free of symbolic links."""

    def __init__(self, root: Path, *, private: bool, temporary: Path | None) -> None:
        self.root = os.path.realpath(root)
        self.temporary = os.path.realpath(temporary) if temporary else f"{self.root}/{TEMPORARY}"
        self.url = f"file://{self.root}"  # for people, so without %20
        self._private = private
        self._known: set[str] = set()
        self._device = _device_of(self.root)

    def existing(self, key: str) -> str:
        """The path of a key that may exist; every directory above it is known to be real and below the root."""
        if not is_inside(key):
            raise KeyRefused(f"{self.url} cannot hold an object under {key!r}", hint="Rename the object.")
        parent, slash, _ = key.rpartition("/")
        if slash and parent not in self._known:
            self._refuse_links(parent)
        return f"{self.root}/{key}"

    def place(self, key: str) -> str:
        """The path of a key that is about to be written; its directory exists."""
        fault = file_name_fault(key)
        if fault is not None or key.split("/", 1)[0] == TEMPORARY:
            raise KeyRefused(f"{key!r} cannot be the name of a file: {fault or 'it is taken'}", hint="Rename the object.")
        parent = key.rpartition("/")[0]
        if parent not in self._known:
            if parent:
                self._refuse_links(parent)
            try:
                self.make_directories(f"{self.root}/{parent}" if parent else self.root)
            except OSError as error:
                raise self.error(error, key) from error
            if len(self._known) >= _KNOWN_DIRECTORIES:
                self._known.clear()
            self._known.add(parent)
        return f"{self.root}/{key}"

    def _refuse_links(self, parent: str) -> None:
        path = f"{self.root}/{parent}"
        if os.path.realpath(path) != path:
            raise KeyRefused(f"{path} leads through a symbolic link", hint="Replace the link by a directory.")

    def make_directories(self, path: str) -> None:
        """Make a directory and what is missing above it. Raises OSError, and DiskFailed when the root's disk is not there any more."""
        if self._device is not None and _device_of(self.root) != self._device:  # what is made now would lie where the disk was mounted
            raise DiskFailed(f"the disk of '{self.root}' was taken away", hint="Bring it back, then run the same command again.")
        if self._private:
            system.make_private_directories(path)
        else:
            os.makedirs(path, exist_ok=True)
        self._device = self._device or _device_of(self.root)

    def forget(self, key: str) -> None:
        """Look at the directory of a key anew before the next write."""
        self._known.discard(key.rpartition("/")[0])

    def prune(self, directory: str) -> None:
        """Remove a directory and those above it, below the root, as far as they are empty."""
        with suppress(OSError):
            while directory != self.root:
                os.rmdir(directory)
                self._known.discard(directory[len(self.root) + 1 :])
                directory = os.path.dirname(directory)

    def no_root(self) -> LockstepError:
        """The error for a root that is no directory."""
        kind = "is not a directory" if os.path.lexists(self.root) else "does not exist"
        return BucketNotFound(f"{self.root} {kind}", hint="Check the path, or create the directory.")

    def in_the_way(self, key: str) -> KeyRefused:
        """The error for a file where a directory must be, or the reverse."""
        return KeyRefused(
            f"a file and a directory cannot both be named {key!r}, or a part of it, in {self.root}", hint="Rename one of the objects."
        )

    def read_error(self, error: OSError, key: str) -> LockstepError:
        """As `error`, for a request that changes nothing: behind a file there is no object."""
        return self.not_found(key) if isinstance(error, NotADirectoryError) else self.error(error, key)

    def not_found(self, key: str) -> ObjectNotFound:
        """The error for a key under which there is no regular file."""
        return ObjectNotFound(f"no object lies under {key!r} in {self.url}", hint="Check the key.")

    def error(self, error: OSError, key: str) -> LockstepError:
        """A failure of the operating system in our words."""
        path = f"{self.root}/{key}".rstrip("/")
        match error.errno:
            case errno.ENOENT | errno.ELOOP:
                return self.not_found(key)
            case errno.ENOTDIR | errno.EISDIR | errno.EEXIST | errno.ENOTEMPTY:
                return self.in_the_way(key)
            case errno.ENAMETOOLONG | errno.EILSEQ:
                return KeyRefused(f"the file system cannot hold {path!r}", hint="Rename the object.")
            case errno.EACCES | errno.EPERM:
                return PermissionMissing(f"{path} cannot be used: {error.strerror}", hint="Check the owner and the permissions.")
            case errno.ENOSPC | errno.EDQUOT:
                room = system.free_bytes(self.root)
                return DiskFailed(f"no room for {path}: {error.strerror} ({room} bytes left)", hint="Make room on the disk.")
            case _:
                return DiskFailed(f"{path}: {error.strerror}", hint="Check the disk and the kernel's log.")


def _device_of(path: str) -> int | None:
    try:
        return Path(path).stat().st_dev
    except OSError:
        return None
