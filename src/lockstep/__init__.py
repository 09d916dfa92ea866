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
    from lockstep.operations.audit import AuditOptions, audit
    from lockstep.operations.backup import backup
    from lockstep.operations.backup_options import BackupOptions
    from lockstep.operations.browse import find_snapshot, list_snapshots
    from lockstep.operations.check import check
    from lockstep.operations.copy import CopyOptions, copy
    from lockstep.operations.drill import DrillOptions, drill
    from lockstep.operations.export import ExportOptions, export
    from lockstep.operations.import_ import ImportOptions, import_
    from lockstep.operations.repair import RepairOptions, repair
    from lockstep.operations.restore import RestoreOptions, RestoreTarget, restore
    from lockstep.operations.verify import VerifyOptions, verify

_PLACES = {
    "AuditOptions": "lockstep.operations.audit",
    "BackupOptions": "lockstep.operations.backup_options",
    "DatabaseAddress": "lockstep.model.addresses",
    "Deployment": "lockstep.deployment.deployment",
    "CopyOptions": "lockstep.operations.copy",
    "DrillOptions": "lockstep.operations.drill",
    "ExportOptions": "lockstep.operations.export",
    "ImportOptions": "lockstep.operations.import_",
    "LockstepError": "lockstep.errors",
    "RepairOptions": "lockstep.operations.repair",
    "RestoreOptions": "lockstep.operations.restore",
    "RestoreTarget": "lockstep.operations.restore",
    "StoreAddress": "lockstep.model.addresses",
    "VerifyOptions": "lockstep.operations.verify",
    "audit": "lockstep.operations.audit",
    "backup": "lockstep.operations.backup",
    "check": "lockstep.operations.check",
    "copy": "lockstep.operations.copy",
    "drill": "lockstep.operations.drill",
    "export": "lockstep.operations.export",
    "find_snapshot": "lockstep.operations.browse",
    "import_": "lockstep.operations.import_",
    "list_snapshots": "lockstep.operations.browse",
    "open_store": "lockstep.objects.open",
    "repair": "lockstep.operations.repair",
    "restore": "lockstep.operations.restore",
    "verify": "lockstep.operations.verify",
}

__all__ = [
    "AuditOptions",
    "BackupOptions",
    "CopyOptions",
    "DatabaseAddress",
    "Deployment",
    "DrillOptions",
    "ExportOptions",
    "ImportOptions",
    "LockstepError",
    "RepairOptions",
    "RestoreOptions",
    "RestoreTarget",
    "StoreAddress",
    "VerifyOptions",
    "__version__",
    "audit",
    "backup",
    "check",
    "copy",
    "drill",
    "export",
    "find_snapshot",
    "import_",
    "list_snapshots",
    "open_store",
    "repair",
    "restore",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: a command that needs no database must not wait for its driver."""
    if name not in _PLACES:
        raise AttributeError(f"module 'lockstep' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_PLACES[name]), name)
