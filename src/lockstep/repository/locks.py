"""Who is working: one writer at a time, on a local disk and in an object store, and a dead writer is noticed."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from lockstep.errors import DiskFailed, LockstepError, ObjectExists, ObjectNotFound, PermissionMissing, RepositoryLocked
from lockstep.objects.known import read_known
from lockstep.objects.store import ObjectStore
from lockstep.progress import Listener, Note
from lockstep.repository.private import make_private_directory
from lockstep.steps import step

FILE = "locks/writer.lock"
LEASE = "locks/writer.json"


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """Seconds. Only the watcher's own clock counts, so clocks that differ do no harm."""

    beat: float = 5.0
    """How often a holder shows that it lives."""
    dead_after: float = 40.0
    """How long a lease must stand still before its holder counts as dead: eight beats, and under the minute that is promised."""
    settle: float = 0.5
    """How long a new holder waits before it looks whether another one took the lease at the same instant."""
    look: float = 1.0
    """How often a lease of another holder is looked at."""

    def may_be_lost(self, *, unseen: float, asked: float) -> bool:
        """True when another one may have taken a lease over, and been beaten back, without either of the two noticing.

        `unseen`: how long nobody could see the lease change until its holder wrote it again; only after `dead_after` does another one take
        it. `asked`: how long before that the holder found it its own; a new holder looks once more after `settle`, and finds out.
        """
        return unseen >= self.dead_after and asked > self.settle


class WriterLock(Protocol):
    """The right to write, while it is held."""

    def check(self) -> None:
        """Raise RepositoryLocked when the right was lost to another writer."""


@contextmanager
def writer_lock(store: ObjectStore, operation: str, *, listener: Listener, times: LeaseTimes | None = None) -> Iterator[WriterLock]:
    """Hold the right to write to a repository for the length of the block.

    Raises RepositoryLocked when a living writer holds it. On a local disk the kernel knows who lives (`flock`); in an object store a
    lease that nobody renews for `dead_after` seconds is taken over.
    """
    path = store.local_file(FILE)
    with (
        _file_lock(path, operation, listener) if path else _lease(store, operation, listener=listener, times=times or LeaseTimes()) as lock
    ):
        step("lock.taken")
        yield lock
        step("lock.leaving")


class _HeldFile:
    """A `flock`, which nobody can take away; but somebody may remove the file (`lockstep unlock --force`), and another one make it anew."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path, self._descriptor = path, descriptor

    def is_held(self) -> bool:
        with suppress(OSError):
            return os.fstat(self._descriptor).st_ino == self._path.stat().st_ino
        return False

    def check(self) -> None:
        root = self._path.parent.parent
        if not root.exists():
            raise DiskFailed(f"the disk of '{root}' was taken away", hint="Bring the disk back, then run the same command again.")
        if not self.is_held():
            raise _taken_away()


@contextmanager
def _file_lock(path: Path, operation: str, listener: Listener) -> Iterator[WriterLock]:
    descriptor = _open_locked(path)
    held = _HeldFile(path, descriptor)
    try:
        left = os.pread(descriptor, 4096, 0)
        if left:  # a holder that ended well removes the file
            listener(_taken_over(left))
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps(holder_of_this_process(operation)).encode())
        yield held
    finally:
        if held.is_held():
            path.unlink(missing_ok=True)  # before the lock goes, so that nobody waits on a name that is no longer there
        os.close(descriptor)


def _open_locked(path: Path) -> int:
    while True:
        try:
            make_private_directory(path.parent)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except PermissionError as error:
            raise PermissionMissing(f"no permission to write '{path}'", hint="Run lockstep as the owner of the repository.") from error
        except OSError as error:
            raise DiskFailed(f"cannot write '{path}': {error.strerror}", hint="Check the disk that the repository is on.") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 4096, 0)
            os.close(descriptor)
            raise locked_by(holder) from error
        with suppress(FileNotFoundError):
            if os.fstat(descriptor).st_ino == path.stat().st_ino:
                return descriptor
        os.close(descriptor)  # the former holder removed the file between our open and our lock


class _HeldLease:
    """A lease that a thread renews until `stop`."""

    def __init__(self, store: ObjectStore, holder: dict[str, object], times: LeaseTimes) -> None:
        self._store, self._holder, self._times = store, holder, times
        self._stop, self._lost = threading.Event(), threading.Event()
        self._shown = elapsed()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)

    def take(self, *, overwrite: bool) -> None:
        self._shown = elapsed()
        self._store.write(LEASE, json.dumps(self._holder).encode(), overwrite=overwrite)
        time.sleep(self._times.settle)
        self.check()
        self._thread.start()

    def check(self) -> None:
        found = _read(self._store)
        if not found or self._lost.is_set():
            raise _taken_away()
        if found.get("token") != self._holder["token"]:
            raise locked_by(json.dumps(found).encode())

    def give_back(self) -> None:
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=self._times.beat)
        with suppress(LockstepError):  # a lease that cannot be removed now ends by itself
            self.check()
            self._store.delete([LEASE])

    def _beat(self) -> None:
        beats = 0
        while not self._stop.wait(self._times.beat):
            beats += 1
            with suppress(LockstepError):  # a missed beat is made up for by the next; `check` decides before anything counts
                self._renew(beats)

    def _renew(self, beats: int) -> None:
        asked = elapsed()
        self.check()
        written = elapsed()
        self._store.write(LEASE, json.dumps({**self._holder, "beat": beats}).encode(), overwrite=True)
        now = elapsed()
        if self._times.may_be_lost(unseen=now - self._shown, asked=now - asked):
            self._lost.set()  # the process or the machine was suspended in between
        self._shown = written


@contextmanager
def _lease(store: ObjectStore, operation: str, *, listener: Listener, times: LeaseTimes) -> Iterator[WriterLock]:
    lease = _HeldLease(store, {**holder_of_this_process(operation), "beat": 0}, times)
    try:  # from before it is taken: a signal may come while it settles
        try:
            lease.take(overwrite=False)
        except ObjectExists:
            dead = wait_until_dead(store, times)
            listener(_taken_over(json.dumps(dead).encode()))
            lease.take(overwrite=True)
        yield lease
    finally:
        lease.give_back()


def wait_until_dead(store: ObjectStore, times: LeaseTimes) -> dict[str, object]:
    """Watch the lease until it is gone or stood still for long enough, and return who held it. Raises RepositoryLocked when it lives."""
    seen = _read(store)
    if died_here(seen):
        return seen
    deadline = time.monotonic() + times.dead_after
    while time.monotonic() < deadline:
        time.sleep(times.look)
        found = _read(store)
        if not found:
            return seen
        if found != seen:
            raise locked_by(json.dumps(found).encode())
    return seen


def elapsed() -> float:
    """Seconds by a clock that nobody sets and that goes on while the machine sleeps, where the system has one."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _read(store: ObjectStore) -> dict[str, object]:
    try:
        found = json.loads(read_known(store, LEASE).bytes())
    except (ObjectNotFound, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def holder_of_this_process(operation: str) -> dict[str, object]:
    """What is written down of who holds a lock."""
    return {
        "operation": operation,
        "host": socket.gethostname(),
        "boot": _boot(),
        "pid": os.getpid(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "token": uuid.uuid4().hex,
    }


def _boot() -> str | None:
    with suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").readlink())  # two containers of one machine have process numbers of their own
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip() + namespace
    return None


def died_here(holder: dict[str, object]) -> bool:
    """True when the holder ran on this machine, since its last start, and its process is gone."""
    pid = holder.get("pid")
    if holder.get("boot") != _boot() or holder.get("boot") is None or not isinstance(pid, int):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def locked_by(holder: bytes) -> RepositoryLocked:
    """The error that names who is at work, as `holder_of_this_process` described it."""
    return RepositoryLocked(
        f"the repository is locked by a running {clause_on(holder)}",
        hint="Wait until it ends, or stop it; then run the same command again. 'lockstep unlock' shows who holds what.",
    )


def clause_on(holder: bytes) -> str:
    """Who holds a lock: "backup (process 12 on db1, since 2026-11-22T12:40:00+00:00)"."""
    try:
        who = json.loads(holder)
        return f"{who['operation']} (process {who['pid']} on {who['host']}, since {who['since']})"
    except (ValueError, KeyError, TypeError, RecursionError):
        return "operation"


def _taken_over(holder: bytes) -> Note:
    return Note(f"took over the lock of a dead {clause_on(holder)}", level="warning")


def _taken_away() -> RepositoryLocked:
    return RepositoryLocked(
        "somebody took the lock of this operation away while it was at work", hint="Run the same command again once nobody else works."
    )
