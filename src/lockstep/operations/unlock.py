"""Take away the locks that dead operations left in a repository; those of living ones only when somebody insists.

Nothing needs it: a dead holder's lock is taken over by whoever comes next. It is for the person who wants to know, and for the case in
which a machine is gone for good and nobody wants to wait.
"""

from __future__ import annotations

from lockstep.model.locks import FoundLock, UnlockResult
from lockstep.objects.store import ObjectStore
from lockstep.progress import SILENT, Listener, Note
from lockstep.repository.lock_files import find_locks, refusal, remove_lock
from lockstep.repository.locks import LeaseTimes
from lockstep.repository.repository import open_repository


def show_locks(store: ObjectStore, *, listener: Listener = SILENT, times: LeaseTimes | None = None) -> tuple[FoundLock, ...]:
    """The locks of a repository, the writer's first; nothing is changed. Raises RepositoryNotFound."""
    repository = open_repository(store)
    if store.local_file("locks") is None:
        listener(Note(f"watching the locks of {repository.store.url}, to see whether somebody renews them"))
    return tuple(find_locks(store, times=times))


def unlock(store: ObjectStore, *, force: bool = False, listener: Listener = SILENT, times: LeaseTimes | None = None) -> UnlockResult:
    """Remove the locks of a repository. Raises RepositoryNotFound, and RepositoryLocked when a holder lives, unless `force`.

    Then nothing was removed. With `force` a living holder loses its lock: it finds out before it makes anything count, and ends.
    """
    locks = show_locks(store, listener=listener, times=times)
    living = next((lock for lock in locks if lock.lives), None)
    if living is not None and not force:
        raise refusal(living)
    for lock in locks:
        remove_lock(store, lock)
    return UnlockResult(locks, removed=True)
