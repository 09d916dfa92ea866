"""Whose word the small files of a repository are: a signature lies beside each manifest and each record, and keys say which ones count.

Where nobody asks with a key, nothing is asked of them. Source: RFC 8032 (Ed25519); `openssl pkeyutl -verify -rawin` checks them too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from lockstep.errors import ObjectNotFound, RepositoryInvalid, SignatureInvalid
from lockstep.model.snapshots import SnapshotId
from lockstep.objects.known import read_known
from lockstep.objects.store import ObjectStore
from lockstep.repository import layout
from lockstep.repository.bridges import Bridges, bridges_from_bytes, bridges_path, previous_of
from lockstep.repository.keyed_store import KeyedStore, keyring_of
from lockstep.repository.manifest import Manifest
from lockstep.repository.manifests import read_manifest

if TYPE_CHECKING:
    from lockstep.encryption.signatures import VerifyKey

LARGEST_SIGNATURE = 4096
"""In bytes: a signature has 89, and what is much larger is none and must not be held in memory."""


def save_signature(store: ObjectStore, path: str, data: bytes) -> None:
    """Write the signature of a file beside it, before the file itself, over what a killed run may have left; nothing without a key."""
    key = keyring_of(store).signing_key
    if key is not None:
        store.write(layout.signature_path(path), f"{key.sign(data)}\n".encode(), overwrite=True)


def read_signature(store: ObjectStore, path: str) -> str | None:
    """The signature beside a file; None when there is none, empty when it is none."""
    try:
        body = read_known(store, layout.signature_path(path))
        return body.bytes().decode("ascii", "replace").strip() if body.info.size <= LARGEST_SIGNATURE else ""
    except ObjectNotFound:
        return None


def why_untrusted(store: ObjectStore, path: str, data: bytes, *, keys: Sequence[VerifyKey] | None = None) -> str | None:
    """None when one of the keys signed these bytes (or when no key asks), else a clause. `keys` are those of the place by default."""
    keys = keyring_of(store).verify_keys if keys is None else keys
    if not keys:
        return None
    signature = read_signature(store, path)
    if signature is None:
        return "is not signed"
    if any(key.accepts(data, signature) for key in keys):
        return None
    return "has a signature that is not of it, or not by a key that is given"


def check_manifest(store: ObjectStore, manifest: Manifest, data: bytes, *, ids: Sequence[SnapshotId], bridges: Bridges) -> None:
    """Raise SignatureInvalid for a manifest that no given key vouches for. One from before the first signature may have none."""
    snapshot = SnapshotId(manifest.snapshot)
    path = layout.manifest_path(snapshot)
    why = why_untrusted(store, path, data)
    if why is not None and (manifest.signed_by is not None or snapshot not in _before_the_first(store, manifest.repository, ids, bridges)):
        raise untrusted(path, why)


def check_bridges(store: ObjectStore, bridges: Bridges) -> None:
    """Raise SignatureInvalid for a record that no given key vouches for, ObjectNotFound when a newer one has replaced it."""
    path = bridges_path(bridges.number)
    data = store.read(path).bytes()
    why = why_untrusted(store, path, data) if bridges_from_bytes(data, path=path) == bridges else "was changed while it was read"
    if why is not None:
        raise untrusted(path, why)


def untrusted(path: str, why: str) -> SignatureInvalid:
    """The error for a file that no given key vouches for."""
    return SignatureInvalid(
        f"'{path}' {why}", hint="Find out who wrote it before you trust it; 'lockstep verify' with the same --verify-key tells what else."
    )


def _before_the_first(store: ObjectStore, repository: str, ids: Sequence[SnapshotId], bridges: Bridges) -> frozenset[SnapshotId]:
    """The snapshots from before the first one with a signature that counts, as far as the chain of manifests leads to them from it."""
    assert isinstance(store, KeyedStore)  # without keys nobody asks
    if store.vouched is None:
        found: set[SnapshotId] = set()
        first = _first_signed(store, repository, ids)
        previous = previous_of(first, bridges) if first else None
        while previous is not None:
            try:
                before, data = read_manifest(store, SnapshotId(previous.snapshot), repository=repository)
            except RepositoryInvalid:
                break
            if hashlib.sha256(data).hexdigest() != previous.sha256:
                break
            found.add(SnapshotId(previous.snapshot))
            previous = previous_of(before, bridges)
        store.vouched = frozenset(found)
    return store.vouched


def _first_signed(store: ObjectStore, repository: str, ids: Sequence[SnapshotId]) -> Manifest | None:
    for snapshot in ids:
        with suppress(RepositoryInvalid):
            manifest, data = read_manifest(store, snapshot, repository=repository)
            if why_untrusted(store, layout.manifest_path(snapshot), data) is None:
                return manifest
    return None
