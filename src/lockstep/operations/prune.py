"""Forget the snapshots that a policy does not keep, then the objects that no kept snapshot references.

What is to go is worked out in full before the first write. Then one record makes it so: from the instant at which that is there, the
removed snapshots are none and the inventory knows nothing of what goes. Only then is anything deleted; a prune that is killed before it
leaves all as it was, and one that is killed behind it leaves files that nothing names, which the next prune deletes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

from lockstep.errors import LockstepError, PermissionMissing, RepositoryInvalid
from lockstep.model.prune import PrunePlan, PruneResult
from lockstep.model.retention import Candidate, Policy, decide_retention
from lockstep.model.snapshots import SnapshotId
from lockstep.objects.limits import DELETE_BATCH
from lockstep.objects.retry import PATIENT, retrying
from lockstep.objects.store import ObjectStore
from lockstep.objects.transfer import Stop
from lockstep.operations.preconditions import refuse_unlockable, refuse_unlocked, refuse_unsigned
from lockstep.operations.prune_record import next_record
from lockstep.operations.prune_set import PruneSet, find_prune_set
from lockstep.operations.verify_record import read_record, save_record
from lockstep.operations.verify_structure import read_structure
from lockstep.operations.work import work_directory
from lockstep.progress import SILENT, Listener, Note, StageAdvanced, StageEnded, StageStarted
from lockstep.repository import layout
from lockstep.repository.bridges import Bridges
from lockstep.repository.copies import forget_copies
from lockstep.repository.draft import reclaim
from lockstep.repository.drills import drills_of
from lockstep.repository.history import all_segments, present_segments
from lockstep.repository.locks import WriterLock, writer_lock
from lockstep.repository.manifest import Manifest
from lockstep.repository.mirror import commit_bridges
from lockstep.repository.readers import without_readers
from lockstep.repository.repository import Repository, open_repository
from lockstep.steps import step
from lockstep.tables import prunes
from lockstep.tables.engine import Tables

STAGE = "delete"
GRACE = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class PruneOptions:
    """What the operator can choose.

    `grace`: how long the objects of a stopped backup wait for the next one, which goes on from them, after it wrote its last. `agreed`: the
    plan that a person saw; no snapshot goes that is not in it.
    """

    policy: Policy
    grace: timedelta = GRACE
    agreed: PrunePlan | None = None
    temporary: Path | None = None


def plan_prune(store: ObjectStore, *, options: PruneOptions, now: datetime, zone: tzinfo | None, listener: Listener = SILENT) -> PrunePlan:
    """What a prune would do now. Changes nothing and needs no lock. Raises as `prune`."""
    repository = open_repository(store)
    refuse_unsigned(repository)
    with _found(repository, options, now=now, zone=zone, listener=listener) as found:
        return found.plan


def prune(
    store: ObjectStore,
    *,
    options: PruneOptions,
    now: datetime,
    zone: tzinfo | None,
    listener: Listener = SILENT,
) -> PruneResult:
    """Remove the snapshots that the policy does not keep, and what only they needed.

    `zone` is that of the policy's days; None: that of this machine.

    Raises RepositoryNotFound, RepositoryLocked (also while somebody reads what is there), and RepositoryInvalid when a manifest, the
    inventory or what kept snapshots reference cannot be read, since what is needed is not known then; in all these cases nothing was
    removed.
    """
    started = time.monotonic()
    repository = open_repository(store)
    refuse_unlockable(store)
    refuse_unlocked(repository)
    with writer_lock(store, "prune", listener=listener) as lock:
        refuse_unsigned(repository)
        reclaim(repository, listener=listener)
        with _found(repository, options, now=now, zone=zone, listener=listener) as found:
            _refuse_unseen(found.plan, options.agreed)
            step("prune.planned")
            _forget(repository, found, lock, now=now)
            _delete(repository, found, lock, now=now, listener=listener)
            return PruneResult(found.plan, time.monotonic() - started)


@contextmanager
def _found(repository: Repository, options: PruneOptions, *, now: datetime, zone: tzinfo | None, listener: Listener) -> Iterator[PruneSet]:
    """What is to go, with the tables that say so, which last for the length of the block."""
    manifests = _whole_history(repository.store)
    candidates = [Candidate(SnapshotId(each.snapshot), each.created, each.complete, each.tag) for each in manifests]
    verdicts = decide_retention(candidates, options.policy, zone=zone)
    with work_directory(options.temporary) as work:
        tables = Tables(work)
        try:
            yield find_prune_set(repository, manifests, verdicts, tables, spared_since=now - options.grace, listener=listener)
        finally:
            tables.close()


def _whole_history(store: ObjectStore) -> list[Manifest]:
    """All manifests, oldest first. Raises RepositoryInvalid when one is not as it was written, or is gone.

    What such a snapshot referenced is not known, and the record of a prune would hide that it was there. So a listing that leaves one out
    costs nothing either: the one behind it names it.
    """
    structure = read_structure(store, stop=Stop())
    found = next((each for each in structure.findings if each.path != layout.HEAD), None)
    if found is not None:
        raise RepositoryInvalid(
            f"nothing is removed, since '{found.path}' {found.detail}",
            hint="Bring it back from a copy of the repository; 'lockstep verify' tells more.",
        )
    return list(structure.manifests.values())


def _refuse_unseen(plan: PrunePlan, agreed: PrunePlan | None) -> None:
    """Raise LockstepError when a snapshot would go of which the person was not told: a backup came in between."""
    unseen = sorted(set(plan.removed) - set(agreed.removed)) if agreed is not None else []
    if unseen:
        raise LockstepError(
            f"the snapshot {unseen[0]} would go too, since another one was made meanwhile", hint="Run the same command again to see all."
        )


def _forget(repository: Repository, found: PruneSet, lock: WriterLock, *, now: datetime) -> None:
    """Write the record, which makes all that follows a matter of cleaning up; nothing when there is nothing to say."""
    record = next_record(repository, found, now=now)
    if record is None:
        return
    with without_readers(repository.store):
        lock.check()
        step("prune.durable")
        commit_bridges(repository, record, lock)
    step("prune.recorded")
    if found.present:
        newest = max(found.present)
        repository.write_head(newest, found.present[newest])
    step("prune.head")
    repository.store.flush()


def _delete(repository: Repository, found: PruneSet, lock: WriterLock, *, now: datetime, listener: Listener) -> None:
    """Delete what nothing names any more: first what would be read as part of the repository, the objects last."""
    lock.check()
    store = repository.store
    reclaim(repository, listener=_quiet(listener))
    step("prune.snapshots")
    _delete_all(store, _unnamed_files(repository))
    step("prune.unnamed")
    _forget_records(repository, found, now=now, listener=listener)
    step("prune.records")
    listener(StageStarted(STAGE, total=found.plan.objects, unit="objects"))
    for paths in prunes.doomed_paths(found.tables, at_once=DELETE_BATCH):
        lock.check()  # before each request, so that whoever was suspended and lost the lock sends no second one
        _delete_all(store, paths)
        step("prune.objects")
        listener(StageAdvanced(STAGE, done=len(paths)))
    listener(StageEnded(STAGE))
    store.flush()
    step("prune.done")


def _forget_records(repository: Repository, found: PruneSet, *, now: datetime, listener: Listener) -> None:
    """Take what is about removed snapshots out of the records of drills, of verifications and of copies."""
    store = repository.store
    _delete_all(store, drills_of(store, {*found.bridges.removed, *found.plan.removed}))
    record, _ = read_record(store, repository.id)
    if record.sound.keys() - found.present.keys():
        record.forget_but(found.present)
        save_record(store, record, now=now, listener=listener)
    forget_copies(store, found.present)


def _quiet(listener: Listener) -> Listener:
    """Without the notes of `reclaim` on what stopped runs left: here it is what was asked for."""
    return lambda event: None if isinstance(event, Note) and event.level == "info" else listener(event)


def _unnamed_files(repository: Repository) -> list[str]:
    """Segments and folded references that a record has replaced or dropped."""
    bridges: Bridges = repository.bridges()
    counting = {each.path for each in all_segments(repository)} | {fold.references.path for fold in bridges.folds.values()}
    segments = present_segments(repository, ())
    folded = [info.key for page in repository.store.list(layout.SNAPSHOTS) for info in page if layout.is_folded(info.key)]
    gathered = [path for path in segments if layout.run_of_segment(path) is None]
    return [path for path in {*gathered, *folded, *(segments & set(bridges.replaced))} if path not in counting]


def _delete_all(store: ObjectStore, paths: list[str]) -> None:
    if not paths:
        return
    try:
        retrying(lambda: store.delete(paths), policy=PATIENT)
    except PermissionMissing as error:
        raise PermissionMissing(
            f"{error.message}; what was removed counts no more, and its files still lie there",
            hint="Run the same command with keys that may delete (s3:DeleteObject on all of the repository).",
        ) from error
