"""The check of Object Lock: whether what the next backup writes is locked, and whether the bucket can do so."""

from __future__ import annotations

from datetime import timedelta

from lockstep.errors import PermissionMissing
from lockstep.model.checkup import Answer, fine, warning
from lockstep.objects.store import ObjectStore
from lockstep.operations.preconditions import refuse_unlockable
from lockstep.repository.keyed_store import keeping_of


def object_lock(store: ObjectStore) -> Answer:
    """Whether the repository's bucket has Object Lock, where locks are asked for."""
    keeping = keeping_of(store)
    try:
        refuse_unlockable(store)
    except PermissionMissing:
        return warning(
            "not known: these credentials may not ask (s3:GetBucketObjectLockConfiguration)",
            hint="Allow it: a backup asks before it writes.",
        )
    days = (keeping.lock_for or timedelta()) / timedelta(days=1)
    return fine(f"the bucket has it; what a snapshot needs is locked for {days:g} days at least, in mode {keeping.lock_mode}")
