"""All locks that lie in a repository, with whether their holders live, and their removal: for the person who must decide."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from lockstep.errors import DiskFailed, ObjectNotFound, RepositoryLocked
from lockstep.model.locks import FoundLock, LockKind
from lockstep.objects.store import ObjectStore
from lockstep.repository.locks import FILE, LEASE, LeaseTimes, clause_on, died_here
from lockstep.repository.readers import GATE, READER


def find_locks(store: ObjectStore, *, times: LeaseTimes | None = None, watch: Callable[[float], None] = time.sleep) -> list[FoundLock]:
    """The locks of a repository, the writer's first. Nothing is changed.

    On a local disk the kernel tells who lives. In an object store a lock is watched until it is renewed, `dead_after` seconds at the
    longest, unless its holder ran on this machine and is gone.
    """
    if store.local_file(FILE) is not None:
        return [found for path in _paths(store) if (found := _local(store, path)) is not None]
    times, seen = times or LeaseTimes(), _contents(store)
    alive: set[str] = set()
    deadline = time.monotonic() + times.dead_after
    while _undecided(seen, alive) and time.monotonic() < deadline:
        watch(times.look)
        now = _contents(store)
        alive |= {path for path, data in now.items() if seen.get(path, data) != data}
        seen = {path: data for path, data in seen.items() if path in now}  # else it was given back meanwhile
    return [_found(path, data, lives=path in alive) for path, data in seen.items()]


def remove_lock(store: ObjectStore, lock: FoundLock) -> None:
    """Remove a lock, whoever holds it: a living holder finds out before it commits anything.

    Raises RepositoryLocked when somebody took it, on a local disk, since it was found dead.
    """
    path = None if lock.lives else store.local_file(lock.path)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC) if path is not None and path.exists() else None
    try:
        if descriptor is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # so that nobody takes over what is about to go
        store.delete([lock.path])
    except BlockingIOError as error:
        raise refusal(lock) from error
    finally:
        if descriptor is not None:
            os.close(descriptor)


def refusal(lock: FoundLock) -> RepositoryLocked:
    """The error for a lock whose holder lives."""
    who = json.dumps({"operation": lock.operation, "pid": lock.pid, "host": lock.host, "since": lock.since}).encode()
    return RepositoryLocked(
        f"the repository is locked by a running {clause_on(who)}",
        hint="Wait until it ends, or stop it. Where it is certainly gone, 'lockstep unlock --force' takes its lock away.",
    )


def _paths(store: ObjectStore) -> list[str]:
    there = {info.key for page in store.list(LEASE.rpartition("/")[0] + "/") for info in page}
    readers = sorted(path for path in there if path.startswith(READER) and path.endswith(".json"))
    return [path for path in (FILE, LEASE, GATE, *readers) if path in there]


def _contents(store: ObjectStore) -> dict[str, bytes]:
    found = {}
    for path in _paths(store):
        try:
            found[path] = store.read(path).bytes()
        except ObjectNotFound:
            continue
    return found


def _undecided(seen: dict[str, bytes], alive: set[str]) -> bool:
    return any(path not in alive and not died_here(_holder(data)) for path, data in seen.items())


def _local(store: ObjectStore, key: str) -> FoundLock | None:
    path = store.local_file(key)
    assert isinstance(path, Path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DiskFailed(f"'{path}' cannot be read: {error.strerror}", hint="Check its permissions.") from error
    try:
        # Shared and for an instant: only a writer that starts at this very moment could be told that somebody works.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _found(key, os.pread(descriptor, 4096, 0), lives=True)
    else:
        return _found(key, os.pread(descriptor, 4096, 0), lives=False)
    finally:
        os.close(descriptor)


def _found(path: str, data: bytes, *, lives: bool) -> FoundLock:
    holder = _holder(data)
    kind: LockKind = "gate" if path == GATE else "reader" if path.startswith(READER) else "writer"
    pid = holder.get("pid")
    operation, host, since = (str(holder[name]) if name in holder else None for name in ("operation", "host", "since"))
    return FoundLock(kind, path, operation, host, pid if isinstance(pid, int) else None, since, lives)


def _holder(data: bytes) -> dict[str, object]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
