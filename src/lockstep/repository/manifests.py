"""A manifest as it lies in the repository: read whole, and refused when it cannot be used."""

from __future__ import annotations

from lockstep.errors import DiskFailed, KeyRefused, ObjectNotFound, PermissionMissing, RepositoryInvalid
from lockstep.model.snapshots import SnapshotId
from lockstep.objects.known import read_known
from lockstep.objects.store import ObjectStore
from lockstep.repository import layout
from lockstep.repository.manifest import Manifest, manifest_from_bytes

LARGEST_MANIFEST = 256 << 20
"""A manifest that is larger is not read: lockstep writes none of a hundredth of it, and it would have to be held in memory."""


def read_manifest(store: ObjectStore, snapshot: SnapshotId, *, repository: str) -> tuple[Manifest, bytes]:
    """A snapshot's manifest and its bytes.

    Raises RepositoryInvalid when it is gone, damaged, of a newer format or of another repository.
    """
    path = layout.manifest_path(snapshot)
    try:
        body = read_known(store, path)
        if body.info.size > LARGEST_MANIFEST:
            raise RepositoryInvalid(f"'{path}' has {body.info.size} bytes", hint="Run 'lockstep verify' to see what else was changed.")
        data = body.bytes()
    except ObjectNotFound as error:
        raise RepositoryInvalid(f"'{path}' is gone", hint="Run 'lockstep verify' to see what else is damaged.") from error
    except (DiskFailed, KeyRefused, PermissionMissing) as error:  # of this one: the repository was opened, so others can be read
        raise RepositoryInvalid(f"'{path}' cannot be read: {error.message}", hint=error.hint) from error
    manifest = manifest_from_bytes(data, path=path)
    if manifest.repository != repository:
        raise RepositoryInvalid(f"'{path}' is of another repository", hint="Run 'lockstep verify' to see what else was changed.")
    return manifest, data
