"""A repository's place together with the keys to it, so that only the repository's own doors know of them."""

from __future__ import annotations

from lockstep.encryption.keyring import NO_KEYS, Keyring
from lockstep.model.snapshots import SnapshotId
from lockstep.objects.store import ObjectStore
from lockstep.objects.wrapped import WrappedStore


class KeyedStore(WrappedStore):
    """A place, and the keys that whoever opened it holds."""

    def __init__(self, store: ObjectStore, keyring: Keyring) -> None:
        super().__init__(store)
        self.keyring = keyring
        self.vouched: frozenset[SnapshotId] | None = None
        """What `trust` found out once, since manifests are never changed."""


def with_keyring(store: ObjectStore, keyring: Keyring) -> ObjectStore:
    """A repository's place with keys to it."""
    return KeyedStore(store, keyring)


def keyring_of(store: ObjectStore) -> Keyring:
    """The keys that came with a repository's place; none when it came without."""
    return store.keyring if isinstance(store, KeyedStore) else NO_KEYS
