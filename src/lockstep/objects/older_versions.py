"""Finds the bytes that were recorded among the older versions of an object: what a delete marker hides, or something newer covers."""

from __future__ import annotations

import hashlib
from contextlib import suppress

from lockstep.errors import KeyRefused, ObjectNotFound, PermissionMissing
from lockstep.objects.retry import retrying
from lockstep.objects.store import ObjectStore

_BLOCK = 1 << 20


def find_right_version(store: ObjectStore, key: str, *, size: int, sha256: str) -> str | None:
    """The newest older version that has exactly these bytes, which are read; None when there is none, or nobody here may look."""
    with suppress(PermissionMissing, KeyRefused):
        for version, info in retrying(lambda: store.list_versions(key)):
            if info.size == size and retrying(lambda: _sha256(store, key, version)) == sha256:  # noqa: B023 - asked at once
                return version
    return None


def _sha256(store: ObjectStore, key: str, version: str) -> str | None:
    hashing = hashlib.sha256()
    try:
        for chunk in store.read(key, version=version).chunks(_BLOCK):
            hashing.update(chunk)
    except ObjectNotFound:  # expired since it was listed
        return None
    return hashing.hexdigest()
