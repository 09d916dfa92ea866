"""Every way in which lockstep says that work could not be done.

Damage that is *found* is a value (a finding), never an exception. A class here stands for what the person can do about it;
`cli/exit_codes.py` gives each its exit status.
"""

from __future__ import annotations

from typing import Literal


class LockstepError(Exception):
    """Work could not be done.

    `message` is lower case, without a full stop, names the thing and states the fact; `hint` is a sentence that begins with a verb.
    Neither ever holds a secret.
    """

    kind = "failed"

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class ConfigurationError(LockstepError):
    """A flag, a variable or a file says something that lockstep cannot act on; nothing was touched."""

    kind = "configuration"


class RepositoryNotFound(LockstepError):
    """There is no repository at the place that was named."""

    kind = "repository_not_found"


class RepositoryInvalid(LockstepError):
    """What lies at the repository's place cannot be trusted or read by this version."""

    kind = "repository_invalid"


class SignatureInvalid(RepositoryInvalid):
    """A file lacks the signature that a given key asks for; nothing was changed."""

    kind = "signature_invalid"


class RepositoryLocked(LockstepError):
    """Another operation that is alive writes to the repository."""

    kind = "repository_locked"


class IdentityNeeded(LockstepError):
    """What must be read is encrypted, and no identity that is given can read it."""

    kind = "identity_needed"


class SnapshotNotFound(LockstepError):
    """No snapshot answers to the name that was given, or more than one does."""

    kind = "snapshot_not_found"


class DatabaseUnreachable(LockstepError):
    """The database server does not answer, or refuses the connection."""

    kind = "database_unreachable"


class DatabaseFailed(LockstepError):
    """The database answered, and refused or broke off the work."""

    kind = "database_failed"


class TableLocked(DatabaseFailed):
    """Somebody else kept a table for himself for too long, a migration most often."""

    kind = "table_locked"


class PermissionMissing(LockstepError):
    """A role or a key lacks a right that the work needs."""

    kind = "permission_missing"


class ClientToolFailed(LockstepError):
    """A client program of PostgreSQL is missing, does not fit the server, or failed."""

    kind = "client_tool_failed"


class ProfileInvalid(LockstepError):
    """A profile cannot be read, or its query does not give what it must."""

    kind = "profile_invalid"


class TargetRefused(LockstepError):
    """The target of a restore is not as it must be; nothing was changed."""

    kind = "target_refused"


class RestoreFailed(LockstepError):
    """The restored database is not what the snapshot says; the target is as it was."""

    kind = "restore_failed"


FaultKind = Literal["busy", "failed", "broken_off", "silent", "unreachable", "wrong_bytes", "not_found", "credentials", "older_version"]
"""What went wrong with a request that is worth another try: the store asked for fewer (503, 429), answered 5xx, broke the connection off,
stayed silent, could not be connected to, gave bytes that are not what it announced, did not find what should be there,
refused keys that had expired, or had the right
bytes in an older version only."""


class StoreUnreachable(LockstepError):
    """An object store does not answer, or keeps failing.

    `fault` says how; `silent_seconds` is how long it was waited for in vain.
    """

    kind = "store_unreachable"
    fault: FaultKind = "failed"

    def __init__(self, message: str, *, hint: str, fault: FaultKind | None = None, silent_seconds: float = 0.0) -> None:
        super().__init__(message, hint=hint)
        self.fault = fault or self.fault
        self.silent_seconds = silent_seconds


class StoreBusy(StoreUnreachable):
    """An object store asks for fewer requests (503 SlowDown, 429)."""

    kind = "store_busy"
    fault = "busy"


class BucketNotFound(LockstepError):
    """The bucket does not exist."""

    kind = "bucket_not_found"


class ObjectNotFound(LockstepError):
    """No object lies under the key."""

    kind = "object_not_found"


class ObjectDamaged(LockstepError):
    """What the nodes of a RAID hold under a key is not one object, and it cannot be told which of them is right."""

    kind = "object_damaged"


class ObjectExists(LockstepError):
    """An object lies under the key already, and nothing is overwritten."""

    kind = "object_exists"


class KeyRefused(LockstepError):
    """The store cannot hold an object under this key."""

    kind = "key_refused"


class DiskFailed(LockstepError):
    """A local disk is full, read-only or failing."""

    kind = "disk_failed"


class MissingObjects(LockstepError):
    """Referenced objects are missing and `--fail-fast` was asked for."""

    kind = "missing_objects"


class WorkersFailed(LockstepError):
    """Other processes or machines that were to take part in the work cannot be had, or keep dying."""

    kind = "workers_failed"


class Cancelled(LockstepError):
    """The run was stopped from outside; `signal_number` is 2 (Ctrl-C) or 15 (SIGTERM)."""

    kind = "cancelled"

    def __init__(self, signal_number: int) -> None:
        super().__init__("stopped before the end", hint="Run the same command again: it resumes.")
        self.signal_number = signal_number
