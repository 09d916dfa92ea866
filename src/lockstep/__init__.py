"""Back up and restore a PostgreSQL database and the objects in S3 that it references, as one thing.

The operations are plain functions over values: open a `Deployment` and a repository's store, call `backup` or `restore`. They report
their progress to a listener, raise `LockstepError` when work could not be done, and return what they found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lockstep.version import __version__

if TYPE_CHECKING:
    from lockstep.deployment.deployment import Deployment
    from lockstep.errors import LockstepError
    from lockstep.model.addresses import DatabaseAddress, StoreAddress
    from lockstep.objects.open import open_store
    from lockstep.operations.backup import backup
    from lockstep.operations.backup_options import BackupOptions
    from lockstep.operations.browse import find_snapshot, list_snapshots
    from lockstep.operations.restore import RestoreOptions, RestoreTarget, restore

_PLACES = {
    "BackupOptions": "lockstep.operations.backup_options",
    "DatabaseAddress": "lockstep.model.addresses",
    "Deployment": "lockstep.deployment.deployment",
    "LockstepError": "lockstep.errors",
    "RestoreOptions": "lockstep.operations.restore",
    "RestoreTarget": "lockstep.operations.restore",
    "StoreAddress": "lockstep.model.addresses",
    "backup": "lockstep.operations.backup",
    "find_snapshot": "lockstep.operations.browse",
    "list_snapshots": "lockstep.operations.browse",
    "open_store": "lockstep.objects.open",
    "restore": "lockstep.operations.restore",
}

__all__ = [
    "BackupOptions",
    "DatabaseAddress",
    "Deployment",
    "LockstepError",
    "RestoreOptions",
    "RestoreTarget",
    "StoreAddress",
    "__version__",
    "backup",
    "find_snapshot",
    "list_snapshots",
    "open_store",
    "restore",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: a command that needs no database must not wait for its driver."""
    if name not in _PLACES:
        raise AttributeError(f"module 'lockstep' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_PLACES[name]), name)
