"""The check of Object Lock: whether what the next backup writes is locked, and whether the bucket can do so."""

from __future__ import annotations

from lockstep.errors import PermissionMissing
from lockstep.model.checkup import Answer, fine, warning
from lockstep.objects.store import ObjectStore
from lockstep.operations.preconditions import refuse_unlockable
from lockstep.repository.keyed_store import keeping_of, locks_of


def object_lock(store: ObjectStore) -> Answer:
    """Whether the repository's bucket has Object Lock, where it is needed."""
    keeping = keeping_of(store)
    if locks_of(store) is None or keeping.lock_for is None:
        return fine("not asked for (--lock-for)")
    try:
        refuse_unlockable(store)
    except PermissionMissing:
        return warning(
            "not known: these credentials may not ask (s3:GetBucketObjectLockConfiguration)", hint="Allow it: a backup asks before it writes."
        )
    days = keeping.lock_for.total_seconds() / 86400
    return fine(f"the bucket has it; what a snapshot needs is locked for {days:g} days at least, in mode {keeping.lock_mode}")
