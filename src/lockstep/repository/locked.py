"""Which files of a repository are locked (Object Lock) and in which class they lie, and the record of until when.

`object-lock.json`, sealed: of each share of all that the newest snapshot needs the moment until which it is locked at least. No snapshot
needs it; without it the next backup locks everything anew.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime

from lockstep.errors import ObjectNotFound
from lockstep.model.keeping import SHARES, Keeping, LockState
from lockstep.model.snapshots import SnapshotId, is_snapshot_id
from lockstep.objects.kept import KeepRule, Kept
from lockstep.objects.store import ObjectStore
from lockstep.repository import layout
from lockstep.repository.bridges import BRIDGES
from lockstep.repository.keyed_store import locks_of
from lockstep.repository.seal import is_sealed, sealed

LOCK_RECORD = "object-lock.json"

_LOCKED = (*layout.POOL, layout.SNAPSHOTS, layout.INVENTORY, BRIDGES)
_LOCKED_FILES = frozenset({layout.MARKER, layout.HEAD})


def keep_rule(keeping: Keeping) -> KeepRule:
    """How each file of a repository is kept. What no restore needs is never locked: locks, and what verifications, drills and copies say.

    The storage class is that of objects: the other files are few, and each backup and each restore reads them.
    """

    def rule(path: str) -> Kept:
        storage_class = keeping.storage_class if path.startswith(layout.POOL) else None
        if keeping.lock_for is None or not is_locked(path):
            return Kept(storage_class)
        return Kept(storage_class, keeping.locked_until(datetime.now(UTC)), keeping.lock_mode)

    return rule


def is_locked(path: str) -> bool:
    """True for a file that is locked where anything is."""
    return path.startswith(_LOCKED) or path in _LOCKED_FILES


def share_of_file(path: str) -> str:
    """The share that a file belongs to; an object's begins its SHA-256."""
    return hashlib.sha256(path.encode()).hexdigest()[:2]


def lock_again(store: ObjectStore, path: str) -> None:
    """Lock what lies there already as if it had been written now; nothing where nothing is locked."""
    locks = locks_of(store)
    if locks is not None:
        locks.extend(path, locks.keeping.locked_until(datetime.now(UTC)))


def read_lock_state(store: ObjectStore, repository: str) -> LockState | None:
    """What the record says; None when there is none, or none that can be believed."""
    try:
        data = store.read(LOCK_RECORD).bytes()
        document = json.loads(data)
        if not is_sealed(data) or document["repository"] != repository:
            return None
        until = {share: _moment(document["until"][share]) for share in SHARES if share in document["until"]}
        snapshot = document["snapshot"]
    except (ObjectNotFound, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return LockState(until, SnapshotId(snapshot) if isinstance(snapshot, str) and is_snapshot_id(snapshot) else None)


def has_lock_record(store: ObjectStore) -> bool:
    """True when what is written into a repository was locked so far."""
    try:
        store.head(LOCK_RECORD)
    except ObjectNotFound:
        return False
    return True


def save_lock_state(store: ObjectStore, repository: str, state: LockState, *, keeping: Keeping) -> None:
    """Write the record anew."""
    document = {
        "format": 1,
        "repository": repository,
        "written": _as_text(datetime.now(UTC)),
        "mode": keeping.lock_mode,
        "seconds": round(keeping.lock_for.total_seconds()) if keeping.lock_for else 0,
        "snapshot": state.snapshot,
        "until": {share: _as_text(until) for share, until in sorted(state.until.items())},
    }
    store.write(LOCK_RECORD, sealed(document), overwrite=True)


def forget_locks(store: ObjectStore) -> None:
    """Take the record away: what is written from now on is not locked."""
    store.delete([LOCK_RECORD])


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(text)
    return moment.astimezone(UTC)


def _as_text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
