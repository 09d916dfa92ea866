"""From the address of a repository to its place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lockstep.encryption.keyring import Keyring
from lockstep.model.addresses import StoreAddress
from lockstep.objects.addresses import parse_url
from lockstep.objects.open import open_store
from lockstep.objects.patient import PatientStore
from lockstep.objects.store import ObjectStore
from lockstep.repository.keyed_store import with_keyring
from lockstep.repository.layout import WORK
from lockstep.repository.locked import keep_rule

if TYPE_CHECKING:
    from lockstep.objects.object_locks import ObjectLocks


def open_place(address: StoreAddress, keyring: Keyring) -> ObjectStore:
    """The place of a repository, with the keys to it and its locks. Nothing is sent, and nothing is written."""
    place = parse_url(address.url)
    if isinstance(place, Path):
        store: ObjectStore = open_store(address, private=True, temporary=place / WORK)
    else:
        store = PatientStore(open_store(address, private=True, keep=keep_rule(address.keeping)))
    return with_keyring(store, keyring, address.keeping, _locks(address, store))


def _locks(address: StoreAddress, store: ObjectStore) -> ObjectLocks | None:
    if address.keeping.lock_for is None:
        return None
    from lockstep.objects.object_locks import open_object_locks  # not for those who lock nothing

    return open_object_locks(address, store.requests)
