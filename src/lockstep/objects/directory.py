"""The files below a directory as keys, in the order of an S3 listing and in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

from lockstep.errors import KeyRefused

BATCH = 200_000
"""Names of one directory that are held at a time, about 20 MB. A larger directory is read once for each batch: with a million files, five
times for a second in all."""


class Walk:
    """A walk over a directory, restricted to a range of keys and to keys that begin with `prefix`; `hidden` is a directory to leave out.

    S3 compares whole keys, so `a/b` stands behind `a-b`: a directory takes its place with a slash behind its name.
    """

    def __init__(
        self,
        root: str,
        *,
        prefix: str = "",
        after: str | None = None,
        until: str | None = None,
        hidden: str | None = None,
        batch: int = BATCH,
    ) -> None:
        self._root = root
        self._prefix = prefix
        self._after = after
        self._until = until
        self._hidden = None if hidden is None else hidden + "/"
        self._batch = batch

    def __iter__(self) -> Iterator[str]:
        """The keys. Raises KeyRefused for a file name that is not valid UTF-8."""
        return self._below("")

    def _below(self, directory: str) -> Iterator[str]:
        last = ""
        while True:
            names, is_all = self._names(directory, last)
            for name in names:
                if name.endswith("/"):
                    with suppress(FileNotFoundError, NotADirectoryError):
                        yield from self._below(directory + name)
                else:
                    yield directory + name
            if is_all:
                return
            last = names[-1]

    def _names(self, directory: str, last: str) -> tuple[list[str], bool]:
        """The next names of a directory in order, directories with a slash at their end; and whether there are no more."""
        names: list[str] = []
        is_all = True
        ceiling: str | None = None
        with os.scandir(f"{self._root}/{directory}") as entries:
            for entry in entries:
                is_directory = entry.is_dir(follow_symlinks=False)
                if not is_directory and not entry.is_file(follow_symlinks=False):
                    continue  # links, sockets, devices
                name = entry.name + "/" if is_directory else entry.name
                if name <= last or (ceiling is not None and name >= ceiling) or not self._is_wanted(directory + name):
                    continue
                names.append(name)
                if len(names) >= 2 * self._batch:
                    names.sort()
                    del names[self._batch :]
                    ceiling, is_all = names[-1], False
        names.sort()
        if len(names) > self._batch:
            del names[self._batch :]
            is_all = False
        return names, is_all

    def _is_wanted(self, path: str) -> bool:
        """True for a file in the range, and for a directory below which one may be."""
        try:
            path.encode()
        except UnicodeEncodeError:
            shown = os.fsencode(path)
            raise KeyRefused(
                f"the name of the file {shown!r} is not valid UTF-8", hint="Rename the file, or leave it out of the store."
            ) from None
        if path.endswith("/"):
            if path == self._hidden or not (path.startswith(self._prefix) or self._prefix.startswith(path)):
                return False
            past = self._after is not None and self._after >= path and not self._after.startswith(path)
            return not past and (self._until is None or path <= self._until)
        if not path.startswith(self._prefix):
            return False
        return (self._after is None or path > self._after) and (self._until is None or path <= self._until)
