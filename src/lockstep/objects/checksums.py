"""Files of a place held against their size and SHA-256, at the speed of the disk or the network.

A file on a local disk is read straight into one buffer a thread: both the read and the hash release the interpreter.
"""

# ruff: noqa: PTH120
# paths are plain text here: pathlib would cost as much as reading a small object

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
from collections.abc import Callable
from typing import IO

from lockstep.errors import DiskFailed, KeyRefused, ObjectNotFound, PermissionMissing
from lockstep.model.findings import Fault, decide_fault
from lockstep.objects.doubt import Doubt
from lockstep.objects.known import known, read_known
from lockstep.objects.store import ObjectStore

BLOCK = 1 << 20
"""Bytes read at once: large enough that the interpreter is hardly seen, small enough to stay in a processor's cache."""

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DIRECTORIES = 10_000

GONE = Fault("missing", "is not there")


class Checker:
    """Looks at files of one place. Safe to use from many threads."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._directories: dict[str, str] = {}
        self._own = threading.local()

    def look(self, path: str, size: int, sha256: str) -> Fault | None:
        """Hold a file's size against the recorded one without reading it."""
        return self._told(
            lambda: decide_fault(
                size=known(self._store, path, lambda: self._store.head(path))[0].size,
                sha256=None,
                expected_size=size,
                expected_sha256=sha256,
            )
        )

    def read(self, path: str, size: int, sha256: str, *, sink: IO[bytes] | None = None) -> Fault | None:
        """Read a file and hold it against the recorded size and checksum. One of another size is not read.

        `sink` is a file that holds its bytes afterwards.

        Raises StoreUnreachable, which is worth another try.
        """
        if sink is None and self._store.local_file("x") is not None:
            return self._told(lambda: self._read_local(path, size, sha256))
        return self._told(lambda: self._read_any(path, size, sha256, sink))

    def _read_any(self, path: str, size: int, sha256: str, sink: IO[bytes] | None) -> Fault | None:
        """Bytes that are wrong are read again where that can be: what a network flips says nothing about what lies there."""
        doubt = Doubt()
        while True:
            fault, digest = self._read_once(path, size, sha256, sink)
            if fault is None or not digest or doubt.is_settled(digest):
                return fault
            self._store.requests.add_fault("wrong_bytes", f"the bytes of '{path}' are not those that were recorded")

    def _read_once(self, path: str, size: int, sha256: str, sink: IO[bytes] | None) -> tuple[Fault | None, str]:
        if sink is not None:
            sink.seek(0)
            sink.truncate()
        body = read_known(self._store, path)
        wrong = decide_fault(size=body.info.size, sha256=None, expected_size=size, expected_sha256=sha256)
        if wrong is not None:
            return wrong, ""
        hashing, received = hashlib.sha256(), 0
        for chunk in body.chunks(BLOCK):
            hashing.update(chunk)
            received += len(chunk)
            if sink is not None:
                sink.write(chunk)
        digest = hashing.hexdigest()
        return decide_fault(size=received, sha256=digest, expected_size=size, expected_sha256=sha256), digest

    def _read_local(self, path: str, size: int, sha256: str) -> Fault | None:
        try:
            file = os.open(self._place(path), _OPEN)
        except OSError as error:
            return _fault_of(error)
        try:
            found = os.fstat(file)
            if not stat.S_ISREG(found.st_mode):
                return GONE
            if found.st_size != size:
                return decide_fault(size=found.st_size, sha256=None, expected_size=size, expected_sha256=sha256)
            buffer = self._buffer()
            hashing, received = hashlib.sha256(), 0
            while count := os.readv(file, [buffer]):
                hashing.update(buffer[:count])
                received += count
        except OSError as error:
            return _fault_of(error)
        finally:
            os.close(file)
        return decide_fault(size=received, sha256=hashing.hexdigest(), expected_size=size, expected_sha256=sha256)

    def _place(self, path: str) -> str:
        """The file of a path; each directory is looked at once, whether a link in it leads outside."""
        parent, _, name = path.rpartition("/")
        directory = self._directories.get(parent)
        if directory is None:
            directory = os.path.dirname(str(self._store.local_file(path)))
            if len(self._directories) < _DIRECTORIES:
                self._directories[parent] = directory
        return f"{directory}/{name}"

    def _buffer(self) -> memoryview:
        if not hasattr(self._own, "buffer"):
            self._own.buffer = memoryview(bytearray(BLOCK))
        view: memoryview = self._own.buffer
        return view

    def _told(self, ask: Callable[[], Fault | None]) -> Fault | None:
        try:
            return ask()
        except ObjectNotFound:
            return GONE
        except KeyRefused as error:
            return Fault("tampered", error.message)
        except (PermissionMissing, DiskFailed) as error:
            return Fault("unreadable", error.message)


def _fault_of(error: OSError) -> Fault:
    if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
        return GONE
    return Fault("unreadable", (error.strerror or "cannot be read").lower())
