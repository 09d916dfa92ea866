"""A repository's place together with the keys to it and the locks there, so that only the repository's own doors know of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockstep.encryption.keyring import NO_KEYS, Keyring
from lockstep.model.keeping import NO_KEEPING, Keeping
from lockstep.model.snapshots import SnapshotId
from lockstep.objects.older_versions import find_right_version
from lockstep.objects.store import Body, ObjectStore
from lockstep.objects.wrapped import WrappedStore

if TYPE_CHECKING:  # what it needs costs time, and most repositories lock nothing
    from lockstep.objects.object_locks import ObjectLocks


class KeyedStore(WrappedStore):
    """A place, the keys that whoever opened it holds, and how it is to keep what is written."""

    def __init__(self, store: ObjectStore, keyring: Keyring, keeping: Keeping, locks: ObjectLocks | None) -> None:
        super().__init__(store)
        self.keyring, self.keeping, self.locks = keyring, keeping, locks
        self._older: dict[str, str] = {}
        self.vouched: frozenset[SnapshotId] | None = None
        """What `trust` found out once, since manifests are never changed."""

    def read(self, key: str, *, version: str | None = None) -> Body:
        """As the store; where an older version has the right bytes, and that is known, that one."""
        return super().read(key, version=version or self._older.get(key))

    def read_older(self, key: str, version: str) -> bool:
        """Read this version from now on; false when one is read already."""
        if key in self._older:
            return False
        self._older[key] = version
        return True


def with_keyring(store: ObjectStore, keyring: Keyring, keeping: Keeping = NO_KEEPING, locks: ObjectLocks | None = None) -> ObjectStore:
    """A repository's place with keys to it, and its locks where what is written is locked."""
    return KeyedStore(store, keyring, keeping, locks)


def keyring_of(store: ObjectStore) -> Keyring:
    """The keys that came with a repository's place; none when it came without."""
    return store.keyring if isinstance(store, KeyedStore) else NO_KEYS


def locks_of(store: ObjectStore) -> ObjectLocks | None:
    """The locks of a repository's place; None when nothing that is written there is locked."""
    return store.locks if isinstance(store, KeyedStore) else None


def keeping_of(store: ObjectStore) -> Keeping:
    """How a repository's place is to keep what is written."""
    return store.keeping if isinstance(store, KeyedStore) else NO_KEEPING


def turn_to_older(store: ObjectStore, path: str, *, size: int, sha256: str) -> bool:
    """True when an older version of a file has exactly these bytes; it is what is read from now on.

    For a file that is gone or is not what was recorded, in a bucket that keeps versions: somebody laid a delete marker or other bytes
    over it.
    """
    if not isinstance(store, KeyedStore):
        return False
    version = find_right_version(store, path, size=size, sha256=sha256)
    if version is None or not store.read_older(path, version):
        return False
    told = f"'{path}' is covered in {store.url}: an older version of it is what was recorded, and is read in its place"
    store.requests.add_fault("older_version", told)
    return True
