"""Encrypts and decrypts bytes as they pass, with age, in bounded memory.

age reads and writes by itself; here it does so in a thread that is given the bytes of an iterator and whose own are taken from it. The
caller's thread alone advances the iterator, so whatever that raises is raised where it belongs.
Source: age specification (C2SP), "Payload": chunks of 64 KiB, each authenticated, the last one marked, so that a cut is noticed.
"""

from __future__ import annotations

import io
import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import BinaryIO, cast

import pyrage

from lockstep.encryption.identities import Identities
from lockstep.encryption.recipients import as_pyrage
from lockstep.errors import IdentityNeeded, RepositoryInvalid

BLOCK = 1 << 20
"""age reads 8 KiB and writes 64 KiB at a time; between threads they go in pieces of this size."""

_WAITING = 2
"""Pieces that may wait for age, so that neither side stands still; what age makes of them is taken at once."""


def encrypted(chunks: Iterable[bytes], recipients: Sequence[str]) -> Generator[bytes]:
    """The bytes, encrypted to recipients (at least one)."""
    to = as_pyrage(recipients)
    yield from _through(lambda reader, writer: pyrage.encrypt_io(reader, writer, to), chunks)


def decrypted(chunks: Iterable[bytes], identities: Identities, *, shown: str) -> Iterator[bytes]:
    """The plain bytes. What comes before an error must not be used.

    Raises IdentityNeeded when none of the identities fits (a damaged header looks like that too), RepositoryInvalid when the bytes are
    not what was encrypted. Not all of `chunks` may have been taken then.
    """
    if not identities.given:
        raise _no_identity(shown)
    known = identities.as_pyrage()
    try:
        yield from _through(lambda reader, writer: pyrage.decrypt_io(reader, writer, known), chunks)
    except _AgeFailed as error:
        raise _told(error, shown) from error


def encrypt(data: bytes, recipients: Sequence[str]) -> bytes:
    """All the bytes at once, encrypted."""
    encrypted_bytes: bytes = pyrage.encrypt(data, as_pyrage(recipients))
    return encrypted_bytes


def decrypt(data: bytes, identities: Identities, *, shown: str) -> bytes:
    """All the plain bytes at once. Raises as `decrypted`."""
    if not identities.given:
        raise _no_identity(shown)
    try:
        plain: bytes = pyrage.decrypt(data, identities.as_pyrage())
    except pyrage.DecryptError as error:
        raise _told(error, shown) from error
    return plain


def _no_identity(shown: str) -> IdentityNeeded:
    return IdentityNeeded(f"'{shown}' is encrypted, and no identity is given", hint="Name the file with the secret key with --identity.")


def _told(error: Exception, shown: str) -> IdentityNeeded | RepositoryInvalid:
    if "No matching keys" in str(error):
        return IdentityNeeded(
            f"'{shown}' is encrypted to others than the identities that are given",
            hint="Name another one with --identity; 'lockstep show' names the recipients of a snapshot.",
        )
    return RepositoryInvalid(f"'{shown}' cannot be decrypted: it is damaged", hint="Run 'lockstep verify' to see what else is damaged.")


class _AgeFailed(Exception):
    """age gave up; what it says is in its words."""


def _through(work: Callable[[BinaryIO, BinaryIO], None], chunks: Iterable[bytes]) -> Iterator[bytes]:
    """What `work` writes when it is given `chunks` to read. Raises what `chunks` raises, and _AgeFailed."""
    worker = _Worker(work)
    worker.start()
    try:
        for chunk in chunks:
            worker.give(chunk)
            yield from worker.taken()
            if worker.failure is not None:
                break
        worker.end()
        worker.join()
        yield from worker.taken()
        if worker.failure is not None:
            raise _AgeFailed(str(worker.failure)) from worker.failure
    finally:
        worker.abandon()
        worker.join()


class _Given(io.RawIOBase):
    """Bytes that are given, as a file to read."""

    def __init__(self, given: queue.Queue[bytes | None]) -> None:
        self._given = given
        self._rest = memoryview(b"")
        self.ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # what io.BufferedReader gives
        while not self._rest and not self.ended:
            chunk = self._given.get()
            self.ended = chunk is None
            self._rest = memoryview(chunk or b"")
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


class _Taken(io.RawIOBase):
    """Bytes that are taken, as a file to write."""

    def __init__(self, taken: queue.SimpleQueue[bytes]) -> None:
        self._taken = taken

    def writable(self) -> bool:
        return True

    def write(self, data: memoryview) -> int:  # type: ignore[override] # what io.BufferedWriter gives
        self._taken.put(bytes(data))
        return len(data)


class _Worker(threading.Thread):
    """Does the work. It waits for nothing but bytes to read, and takes them to the end even when it has failed."""

    def __init__(self, work: Callable[[BinaryIO, BinaryIO], None]) -> None:
        super().__init__(name="age", daemon=True)
        self._given: queue.Queue[bytes | None] = queue.Queue(_WAITING)
        self._taken: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._source, self._work = _Given(self._given), work
        self._told_end = False
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            with io.BufferedWriter(cast(io.RawIOBase, _Taken(self._taken)), BLOCK) as writer:
                self._work(cast(BinaryIO, io.BufferedReader(self._source, BLOCK)), cast(BinaryIO, writer))
        except (pyrage.EncryptError, pyrage.DecryptError, OSError) as error:
            self.failure = error
        finally:
            while not self._source.ended:
                self._source.ended = self._given.get() is None

    def give(self, chunk: bytes) -> None:
        self._given.put(chunk)

    def end(self) -> None:
        if not self._told_end:
            self._told_end = True
            self._given.put(None)

    abandon = end
    """To age an early end is an end like any other; nobody takes what it makes of it."""

    def taken(self) -> Iterator[bytes]:
        while True:
            try:
                yield self._taken.get_nowait()
            except queue.Empty:
                return
