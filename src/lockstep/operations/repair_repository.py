"""Heal the repository: fetch again from the living bucket what a verification finds lost or damaged, if the bucket has the right bytes."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice

from lockstep.errors import ObjectDamaged, ObjectNotFound
from lockstep.model.findings import Finding
from lockstep.model.inventory import InventoryEntry, MissingObject
from lockstep.model.results import RepairPlan, RepairResult
from lockstep.objects.raid import read_expected
from lockstep.objects.retry import retrying
from lockstep.objects.store import Body, ObjectStore
from lockstep.objects.transfer import ByteBudget, Pacer, Stop, in_parallel
from lockstep.operations.copying import STAGE
from lockstep.operations.preconditions import refuse_unlockable, refuse_unlocked
from lockstep.operations.repair import SHOWN, RepairOptions
from lockstep.operations.verify import VerifyOptions, verify
from lockstep.operations.work import work_directory
from lockstep.progress import SILENT, Listener, StageAdvanced, StageEnded, StageStarted
from lockstep.repository.history import readable_segments
from lockstep.repository.locks import writer_lock
from lockstep.repository.pool import WrongBytes, replace_object
from lockstep.repository.repository import Repository, open_repository
from lockstep.steps import step
from lockstep.tables import inventory, restores
from lockstep.tables.engine import Tables

_BATCH = 4096


def plan_repository_repair(
    repository_store: ObjectStore, *, options: RepairOptions, listener: Listener = SILENT, stop: Stop | None = None
) -> RepairPlan:
    """Verify the repository and say how many of its objects would be asked of the bucket. Nothing is changed."""
    with work_directory(options.temporary) as work:
        tables = Tables(work)
        try:
            broken = _prepare(open_repository(repository_store), tables, options, listener, stop or threading.Event())
            found = restores.count_restorable(tables)
            return RepairPlan(broken, found.objects, found.size_bytes, broken - found.objects, _keys(tables))
        finally:
            tables.close()


def repair_repository(
    stores: Mapping[str, ObjectStore],
    repository_store: ObjectStore,
    *,
    options: RepairOptions | None = None,
    listener: Listener = SILENT,
    stop: Stop | None = None,
) -> RepairResult:
    """Put the right bytes back at the place of every lost or damaged object. What the bucket lacks or has otherwise stays a finding.

    Only objects are healed: a damaged manifest, table or dump is made again by the next backup. Raises LockstepError when the work could
    not be done.
    """
    options, stop = options or RepairOptions(), stop or threading.Event()
    started = time.monotonic()
    refuse_unlockable(repository_store)
    refuse_unlocked(open_repository(repository_store))
    with work_directory(options.temporary) as work, writer_lock(repository_store, "repair", listener=listener):
        tables = Tables(work)
        try:
            repository = open_repository(repository_store)
            broken = _prepare(repository, tables, options, listener, stop)
            step("heal.planned")
            listener(StageStarted(STAGE, total=broken, unit="objects"))
            restored, restored_bytes = _fetch_all(stores, repository, tables, options, listener, stop)
            repository.store.flush()
            step("heal.done")
            listener(StageEnded(STAGE))
            if options.list_missing is not None:
                restores.write_lines(options.list_missing, restores.unrestorable(tables))
            seconds = time.monotonic() - started
            return RepairResult(restored, restored_bytes, broken - restored, _keys(tables), seconds)
        finally:
            tables.close()


def _prepare(repository: Repository, tables: Tables, options: RepairOptions, listener: Listener, stop: Stop) -> int:
    """Fill `restorable` with the inventory's rows of what is broken; returns how many objects are."""
    restores.create_broken_places(tables)
    deep = VerifyOptions(depth="data", limits=options.limits, temporary=options.temporary)
    with verify(repository.store, options=deep, now=datetime.now(UTC), zone=UTC, listener=listener, stop=stop) as found:
        findings = (each for each in found.findings() if each.key is not None and each.store is not None)
        while batch := list(islice(findings, _BATCH)):
            restores.add_broken_places(tables, [_named(each) for each in batch])
    inventory.create(tables, readable_segments(repository, tables.directory))
    return restores.plan_broken_places(tables)


def _fetch_all(
    stores: Mapping[str, ObjectStore], repository: Repository, tables: Tables, options: RepairOptions, listener: Listener, stop: Stop
) -> tuple[int, int]:
    budget, pacer = ByteBudget(options.limits.bytes_in_flight), Pacer(options.limits)
    restored, restored_bytes = 0, 0

    def fetch(entry: InventoryEntry) -> InventoryEntry | MissingObject:
        if entry.encrypted:  # encrypted anew it would not be what was recorded
            return MissingObject(entry.store, entry.key, entry.size, "lost")
        with budget.take(min(entry.size, options.limits.whole_up_to)):
            try:
                retrying(lambda: replace_object(repository.store, entry, _read(stores, entry), limits=options.limits), stop=stop)
            except (ObjectDamaged, ObjectNotFound, WrongBytes, KeyError):
                return MissingObject(entry.store, entry.key, entry.size, "lost")
        step("heal.object")
        return entry

    for done in in_parallel(inventory.entries(tables, "restorable"), fetch, threads=pacer, stop=stop):
        restores.add_unrestorable(tables, [each for each in done if isinstance(each, MissingObject)])
        sizes = [each.size for each in done if isinstance(each, InventoryEntry)]
        restored, restored_bytes = restored + len(sizes), restored_bytes + sum(sizes)
        listener(StageAdvanced(STAGE, done=len(done), size_bytes=sum(sizes)))
    return restored, restored_bytes


def _read(stores: Mapping[str, ObjectStore], entry: InventoryEntry) -> Body:
    return read_expected(stores[entry.store], entry.key, size=entry.size)


def _named(finding: Finding) -> tuple[str, str, str]:
    return finding.store or "", finding.key or "", finding.path


def _keys(tables: Tables) -> tuple[str, ...]:
    return tuple(each.key for each in restores.unrestorable(tables, most=SHOWN))
