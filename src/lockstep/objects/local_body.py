"""A file of a local store that is being read."""

from __future__ import annotations

import builtins
import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime

from lockstep.errors import DiskFailed
from lockstep.model.objects import ObjectInfo
from lockstep.objects.attributes import NONE
from lockstep.objects.local_paths import Paths

_SMALL = 1024 * 1024  # bytes; a file up to this size is read when it is opened, so that nothing stays open
_PIECE = 1024 * 1024  # bytes asked of the kernel at once
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO must not block


def open_body(paths: Paths, key: str) -> LocalBody:
    """Open the file of an object; a small one is read at once."""
    try:
        file = os.open(paths.existing(key), _OPEN)
    except OSError as error:
        raise paths.read_error(error, key) from error
    data: bytes | None = None
    try:
        info = info_of_file(paths, key, os.fstat(file))
        if info.size <= _SMALL:
            data = _read(paths, file, info.size + 1, key)
    except BaseException:
        os.close(file)
        raise
    if data is None:
        return LocalBody(paths, info, file=file, data=None)
    os.close(file)
    if len(data) != info.size:
        raise _changed(paths, info, len(data))
    return LocalBody(paths, info, file=-1, data=data)


def info_of_file(paths: Paths, key: str, found: os.stat_result) -> ObjectInfo:
    """What is known of the object. Raises ObjectNotFound for what is not a regular file."""
    if not stat.S_ISREG(found.st_mode):
        raise paths.not_found(key)
    return as_info(key, found)


def as_info(key: str, found: os.stat_result) -> ObjectInfo:
    """What the file system knows of a regular file."""
    return ObjectInfo(key, found.st_size, None, datetime.fromtimestamp(found.st_mtime, UTC))


class LocalBody:
    """A file that is being read."""

    __slots__ = ("_data", "_file", "_paths", "info")

    attributes = NONE

    def __init__(self, paths: Paths, info: ObjectInfo, *, file: int, data: bytes | None) -> None:
        self._paths = paths
        self._file = file
        self._data = data
        self.info = info

    def bytes(self) -> bytes:
        """All the bytes."""
        if self._data is not None:
            return self._data
        return b"".join(self.chunks(_PIECE))

    def chunks(self, size: int) -> Iterator[builtins.bytes]:
        """The bytes, piece by piece."""
        if self._data is not None:
            if self._data:
                yield self._data
            return
        received = 0
        try:
            while chunk := _read(self._paths, self._file, max(size, 1), self.info.key):
                received += len(chunk)
                yield chunk
        finally:
            self._close()
        if received != self.info.size:
            raise _changed(self._paths, self.info, received)

    def _close(self) -> None:
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def __del__(self) -> None:
        """A body that nobody read to its end must not keep its file open."""
        self._close()


def _read(paths: Paths, file: int, size: int, key: str) -> bytes:
    """Up to `size` bytes from an open file; fewer only at its end."""
    try:
        data = os.read(file, size)
        if not data or len(data) >= size:
            return data
        pieces = [data]
        missing = size - len(data)
        while missing > 0 and (data := os.read(file, missing)):
            pieces.append(data)
            missing -= len(data)
    except OSError as error:
        raise paths.error(error, key) from error
    return b"".join(pieces)


def _changed(paths: Paths, info: ObjectInfo, received: int) -> DiskFailed:
    return DiskFailed(
        f"{paths.root}/{info.key} changed while it was read ({received} of {info.size} bytes)", hint="Find out what writes to this file."
    )
