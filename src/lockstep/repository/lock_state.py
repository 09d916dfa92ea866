"""Who writes to a repository at the moment, as far as somebody can tell who only looks."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path

from lockstep.errors import BucketNotFound, DiskFailed, ObjectNotFound
from lockstep.objects.known import read_known
from lockstep.objects.store import ObjectStore
from lockstep.repository.locks import FILE, LEASE


@dataclass(frozen=True, slots=True)
class Holder:
    """`who` is a clause ("a running backup (process 12 on db1, since …)"). `lives` is None where that shows only with time."""

    who: str
    lives: bool | None


def read_lock(store: ObjectStore) -> Holder | None:
    """The holder of the writer's lock; None when nobody holds it. Nothing is changed, and nobody is kept waiting."""
    path = store.local_file(FILE)
    if path is not None:
        return _holder_of_file(path)
    try:
        return Holder(_shown(store.read(LEASE).bytes()), lives=None)
    except ObjectNotFound:
        return None


def read_token(store: ObjectStore) -> str | None:
    """What tells this holding of the writer's lock from every other one; None when nobody holds it, or there is no such place.

    Two who read the same token see the same repository, and its writer has not changed meanwhile.
    """
    try:
        token = json.loads(read_known(store, LEASE if store.local_file(FILE) is None else FILE).bytes())["token"]
    except (ObjectNotFound, BucketNotFound, ValueError, KeyError, TypeError):
        return None
    return token if isinstance(token, str) else None


def _holder_of_file(path: Path) -> Holder | None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DiskFailed(f"'{path}' cannot be read: {error.strerror}", hint="Check its permissions.") from error
    try:
        # Shared and for an instant: only a writer that starts at this very moment could be told that somebody works.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return Holder(_shown(os.pread(descriptor, 4096, 0)), lives=True)
    else:
        return None  # left behind by a writer that is dead
    finally:
        os.close(descriptor)


def _shown(data: bytes) -> str:
    try:
        found = json.loads(data)
        return f"a running {found['operation']} (process {found['pid']} on {found['host']}, since {found['since']})"
    except (ValueError, KeyError, TypeError):
        return "a running operation"
