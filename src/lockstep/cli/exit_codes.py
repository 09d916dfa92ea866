"""Gives every outcome its exit status: the one table of them (CLI.md, Conventions)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from lockstep import errors


class ExitStatus(IntEnum):
    """What the exit status of a command means."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    FINDINGS = 3
    LOCKED = 4


# A process that a signal stopped exits with this plus the signal's number, as shells count.
SIGNAL_BASE = 128

STATUS: Mapping[type[errors.LockstepError], ExitStatus] = {
    errors.LockstepError: ExitStatus.FAILED,
    errors.ConfigurationError: ExitStatus.USAGE,
    errors.RepositoryNotFound: ExitStatus.FAILED,
    errors.RepositoryInvalid: ExitStatus.FAILED,
    errors.SignatureInvalid: ExitStatus.FAILED,
    errors.RepositoryLocked: ExitStatus.LOCKED,
    errors.IdentityNeeded: ExitStatus.USAGE,
    errors.SnapshotNotFound: ExitStatus.FAILED,
    errors.DatabaseUnreachable: ExitStatus.FAILED,
    errors.DatabaseFailed: ExitStatus.FAILED,
    errors.TableLocked: ExitStatus.FAILED,
    errors.PermissionMissing: ExitStatus.FAILED,
    errors.ClientToolFailed: ExitStatus.FAILED,
    errors.ProfileInvalid: ExitStatus.FAILED,
    errors.TargetRefused: ExitStatus.FAILED,
    errors.RestoreFailed: ExitStatus.FAILED,
    errors.StoreUnreachable: ExitStatus.FAILED,
    errors.StoreBusy: ExitStatus.FAILED,
    errors.BucketNotFound: ExitStatus.FAILED,
    errors.ObjectNotFound: ExitStatus.FAILED,
    errors.ObjectDamaged: ExitStatus.FAILED,
    errors.ObjectExists: ExitStatus.FAILED,
    errors.KeyRefused: ExitStatus.FAILED,
    errors.DiskFailed: ExitStatus.FAILED,
    errors.MissingObjects: ExitStatus.FAILED,
    errors.WorkersFailed: ExitStatus.FAILED,
}


def exit_status(error: errors.LockstepError) -> int:
    """The exit status for an error: that of its class, else of the nearest class above; of a cancelled run the signal's."""
    if isinstance(error, errors.Cancelled):
        return SIGNAL_BASE + error.signal_number
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
