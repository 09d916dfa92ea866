"""A repository's place together with the keys to it and the locks there, so that only the repository's own doors know of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockstep.encryption.keyring import NO_KEYS, Keyring
from lockstep.model.keeping import NO_KEEPING, Keeping
from lockstep.model.snapshots import SnapshotId
from lockstep.objects.store import ObjectStore
from lockstep.objects.wrapped import WrappedStore

if TYPE_CHECKING:  # what it needs costs time, and most repositories lock nothing
    from lockstep.objects.object_locks import ObjectLocks


class KeyedStore(WrappedStore):
    """A place, the keys that whoever opened it holds, and how it is to keep what is written."""

    def __init__(self, store: ObjectStore, keyring: Keyring, keeping: Keeping, locks: ObjectLocks | None) -> None:
        super().__init__(store)
        self.keyring, self.keeping, self.locks = keyring, keeping, locks
        self.vouched: frozenset[SnapshotId] | None = None
        """What `trust` found out once, since manifests are never changed."""


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
