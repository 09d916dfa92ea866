"""Who reads a repository at the moment, so that no prune takes away what is being read; readers keep nobody else off, and not each other.

A reader leaves a note, `locks/reader-<token>.json`, then looks whether the gate is shut; a prune shuts the gate, then looks whether there
is a note, and makes its record count only when there is none. So of the two at least one sees the other, whatever the order. The gate is
shut for the one write alone, and whoever begins to read after it finds the new state. The note of a dead reader is told as the lock of a
dead writer is: on a local disk by the kernel (`flock`), in an object store by a note that nobody renews.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lockstep.errors import BucketNotFound, DiskFailed, KeyRefused, LockstepError, ObjectNotFound, PermissionMissing
from lockstep.objects.store import ObjectStore
from lockstep.progress import Listener, Note
from lockstep.repository.layout import MARKER
from lockstep.repository.locks import LeaseTimes, died_here, holder_of_this_process, locked_by
from lockstep.repository.private import make_private_directory

READER = "locks/reader-"
GATE = "locks/gate.json"

_GATE_LOOK_SECONDS = 0.1


@contextmanager
def reading(store: ObjectStore, operation: str, *, listener: Listener, times: LeaseTimes | None = None) -> Iterator[None]:
    """Let no prune remove anything for the length of the block. Where nothing may be written, reading goes on without that."""
    if not _exists(store, MARKER):  # whoever reads it says so
        yield
        return
    path, note = f"{READER}{uuid.uuid4().hex}.json", json.dumps(holder_of_this_process(operation)).encode()
    here = store.local_file(path)
    try:
        held = _LocalNote(here, note) if here is not None else _Lease(store, path, note, times or LeaseTimes())
    except (PermissionMissing, DiskFailed, KeyRefused) as error:
        listener(Note(f"a prune that runs meanwhile is not kept off: {error.message}", level="debug"))
        yield
        return
    try:
        forget_dead_readers(store)
        held.wait_for_gate()
        yield
    finally:
        held.give_back()


@contextmanager
def without_readers(store: ObjectStore, *, times: LeaseTimes | None = None) -> Iterator[None]:
    """Keep readers from beginning for the length of the block, which must be short. Raises RepositoryLocked when one is at work."""
    here = store.local_file(GATE)
    if here is not None:
        gate = _LocalNote(here, json.dumps(holder_of_this_process("prune")).encode())
        try:
            _refuse_living(here.parent)
            yield
        finally:
            gate.give_back()
        return
    times = times or LeaseTimes()
    dead = _wait_until_dead(store, times)  # before the gate is shut: it may take long
    try:
        store.write(GATE, json.dumps(holder_of_this_process("prune")).encode(), overwrite=True)
        for path, data in _notes(store).items():
            if dead.get(path) != data:
                raise locked_by(data)
        yield
    finally:
        store.delete([GATE])
    store.delete(list(dead))


class _LocalNote:
    """A file that is locked while its process lives. It gets its name when it is locked, so that nobody finds it free before."""

    def __init__(self, path: Path, content: bytes) -> None:
        self._path = path
        made = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        try:
            make_private_directory(path.parent)
            self._descriptor = os.open(made, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX)
                os.write(self._descriptor, content)
                made.rename(path)
            except BaseException:
                made.unlink(missing_ok=True)
                os.close(self._descriptor)
                raise
        except OSError as error:
            raise DiskFailed(f"cannot write '{path}': {error.strerror}", hint="Check the disk that the repository is on.") from error

    def wait_for_gate(self) -> None:
        """Wait while a living prune has the gate shut."""
        while _is_held(self._path.with_name(GATE.rpartition("/")[2])) is not None:
            time.sleep(_GATE_LOOK_SECONDS)

    def give_back(self) -> None:
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


def _is_held(path: Path) -> bytes | None:
    """What is written in a file that a living process has locked; None when there is no such file, or nobody holds it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(descriptor, 4096, 0)
    else:
        return None
    finally:
        os.close(descriptor)


def _refuse_living(directory: Path) -> None:
    """Raise RepositoryLocked for a living reader on a local disk; the notes of dead ones go."""
    for path in _local_notes(directory):
        holder = _is_held(path)
        if holder is not None:
            raise locked_by(holder)
        path.unlink(missing_ok=True)


def _local_notes(directory: Path) -> list[Path]:
    return sorted(directory.glob(f"{READER.rpartition('/')[2]}*.json"))


def forget_dead_readers(store: ObjectStore) -> None:
    """Remove the notes of readers that are known to be dead, so that nobody finds what nobody holds. What cannot be removed stays."""
    here = store.local_file(GATE)
    with suppress(LockstepError, OSError):
        if here is None:
            store.delete([path for path, data in _notes(store).items() if _died_here(data)])
            return
        for path in _local_notes(here.parent):
            if _is_held(path) is None:
                path.unlink(missing_ok=True)


def forget_dead_gate(store: ObjectStore) -> None:
    """Remove the gate that a dead prune left shut. Only for the writer: nobody else can shut it meanwhile."""
    with suppress(LockstepError):
        store.delete([GATE])


class _Lease:
    """A note in an object store that a thread renews."""

    def __init__(self, store: ObjectStore, path: str, note: bytes, times: LeaseTimes) -> None:
        self._store, self._path, self._note, self._times = store, path, json.loads(note), times
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="reader", daemon=True)
        try:
            store.write(path, note)
        except BaseException:
            self.give_back()  # the answer may be what was lost, not the note
            raise
        self._thread.start()

    def wait_for_gate(self) -> None:
        """Wait while the gate is shut; one that a dead prune left shut counts no longer than its lease."""
        deadline = time.monotonic() + self._times.dead_after
        while time.monotonic() < deadline and (shut := _read(self._store, GATE)) is not None and not _died_here(shut):
            time.sleep(self._times.look)

    def give_back(self) -> None:
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=self._times.beat)
        with suppress(LockstepError):  # a note that cannot be removed now ends by itself
            self._store.delete([self._path])

    def _beat(self) -> None:
        beats = 0
        while not self._stop.wait(self._times.beat):
            beats += 1
            with suppress(LockstepError):  # a missed beat is made up for by the next
                self._store.write(self._path, json.dumps({**self._note, "beat": beats}).encode(), overwrite=True)


def _wait_until_dead(store: ObjectStore, times: LeaseTimes) -> dict[str, bytes]:
    """The notes of dead readers, which nobody renews. Raises RepositoryLocked when one of them lives."""
    seen = _notes(store)
    deadline = time.monotonic() + times.dead_after
    while time.monotonic() < deadline and not all(_died_here(data) for data in seen.values()):
        time.sleep(times.look)
        now = _notes(store)
        for path, data in now.items():
            if seen.get(path, data) != data:
                raise locked_by(data)
        seen = {path: data for path, data in seen.items() if path in now}
    return seen


def _notes(store: ObjectStore) -> dict[str, bytes]:
    found = {path: _read(store, path) for path in [info.key for page in store.list(READER) for info in page]}
    return {path: data for path, data in found.items() if data is not None}  # else it was given back meanwhile


def _read(store: ObjectStore, path: str) -> bytes | None:
    with suppress(ObjectNotFound):
        return store.read(path).bytes()
    return None


def _exists(store: ObjectStore, path: str) -> bool:
    try:
        store.head(path)
    except (ObjectNotFound, BucketNotFound):
        return False
    return True


def _died_here(data: bytes) -> bool:
    try:
        holder = json.loads(data)
    except (ValueError, RecursionError):
        return True
    return isinstance(holder, dict) and died_here(holder)
