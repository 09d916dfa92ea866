"""Heal the living bucket: put back what an audit finds missing or of the wrong size, from the repository, checked and proven.

On a RAID an object that can be read is healed on the single nodes that lack it (`repair_nodes.py`); one that cannot is put back whole.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from lockstep.deployment.deployment import Deployment
from lockstep.model.inventory import MissingObject
from lockstep.model.results import RepairPlan, RepairResult
from lockstep.objects.store import ObjectStore
from lockstep.objects.transfer import Stop, TransferLimits
from lockstep.operations.audit import AuditOptions, audit
from lockstep.operations.pool_reader import refuse_unreadable_objects
from lockstep.operations.repair_nodes import STAGE as NODE_STAGE
from lockstep.operations.repair_nodes import Healed, NodeHealer
from lockstep.operations.sent import Uploaded
from lockstep.operations.telling import telling
from lockstep.operations.uploading import STAGE, Uploader
from lockstep.operations.work import work_directory
from lockstep.progress import SILENT, Listener, StageEnded, StageStarted
from lockstep.repository.history import readable_segments
from lockstep.repository.readers import reading
from lockstep.repository.repository import Repository, open_repository
from lockstep.steps import step
from lockstep.tables import inventory, restores
from lockstep.tables.engine import Tables

SHOWN = 100
"""How many keys that cannot be put back a result names."""

_BATCH = 4096
_LATEST = "~"
"""Sorts behind every snapshot's id: of several versions the newest is meant."""


@dataclass(frozen=True, slots=True)
class RepairOptions:
    """`list_missing` is a file for what cannot be put back; `temporary` is where tables may lie."""

    list_missing: Path | None = None
    limits: TransferLimits = field(default_factory=TransferLimits)
    temporary: Path | None = None


def plan_repair(
    deployment: Deployment,
    repository_store: ObjectStore | None,
    *,
    options: RepairOptions,
    listener: Listener = SILENT,
    stop: Stop | None = None,
) -> RepairPlan:
    """Audit the deployment and say what the repository, or the other nodes of a RAID, could put back. Nothing is changed."""
    with work_directory(options.temporary) as work:
        tables = Tables(work)
        try:
            broken, degraded = _prepare(deployment, _opened(repository_store), tables, options, listener, stop or threading.Event())
            found = restores.count_restorable(tables)
            objects, size_bytes = found.objects + degraded.objects, found.size_bytes + degraded.size_bytes
            return RepairPlan(broken + degraded.objects, objects, size_bytes, broken - found.objects, _keys(tables))
        finally:
            tables.close()


def repair(
    deployment: Deployment,
    repository_store: ObjectStore | None,
    *,
    options: RepairOptions | None = None,
    listener: Listener = SILENT,
    stop: Stop | None = None,
) -> RepairResult:
    """Put back into the stores what they lack. An object that is right is never touched; one of the wrong size is replaced.

    Without a repository only what the other nodes of a RAID still have can be put back.
    Each object is checked against the inventory before it leaves and proven after it arrived. Raises LockstepError when the work could
    not be done; what was put back by then stays.
    """
    options, stop = options or RepairOptions(), stop or threading.Event()
    started = time.monotonic()
    with (
        telling([repository_store] if repository_store else [], listener),
        work_directory(options.temporary) as work,
        reading(repository_store, "repair", listener=listener) if repository_store else nullcontext(),
    ):
        tables = Tables(work)
        try:
            repository = _opened(repository_store)
            broken, degraded = _prepare(deployment, repository, tables, options, listener, stop)
            step("repair.planned")
            done = _put_back(deployment, repository, tables, options, listener, stop)
            healed = Healed(0, 0, ())
            if deployment.raids():
                healer = NodeHealer(deployment, repository, tables, options.limits, listener, stop)
                listener(StageStarted(NODE_STAGE, total=degraded.objects, unit="objects"))
                healed = healer.heal(restores.healable(tables))
                listener(StageEnded(NODE_STAGE))
            if options.list_missing is not None:
                restores.write_lines(options.list_missing, restores.unrestorable(tables))
            return RepairResult(
                restored=done.uploaded + healed.objects,
                restored_bytes=done.uploaded_bytes + healed.size_bytes,
                # Somebody else may heal meanwhile.
                still_missing=broken - done.uploaded - done.already_there + restores.count_unhealed(tables),
                still_missing_sample=_keys(tables),
                seconds=time.monotonic() - started,
                nodes=healed.nodes,
            )
        finally:
            tables.close()


def _opened(repository_store: ObjectStore | None) -> Repository | None:
    return None if repository_store is None else open_repository(repository_store)


def _prepare(
    deployment: Deployment, repository: Repository | None, tables: Tables, options: RepairOptions, listener: Listener, stop: Stop
) -> tuple[int, restores.Restorable]:
    """Fill `restorable` and `unrestorable` with what is broken, `healable` with what single nodes lack; how much that is."""
    for raid in deployment.raids().values():
        raid.nodes.check_reachable(needed=len(raid.nodes))  # a node that is down cannot be written to
    findings, of_nodes = tables.directory / "findings.jsonl", tables.directory / "nodes.jsonl"
    lists = AuditOptions(findings, list_nodes=of_nodes, limits=options.limits, temporary=options.temporary)
    audit(deployment, options=lists, listener=listener, stop=stop)
    inventory.create(tables, readable_segments(repository, tables.directory) if repository else [])
    lines = (MissingObject(row["store"], row["key"], row["size"], "lost") for row in _read(findings))
    restores.create_broken(tables)
    while batch := list(islice(lines, _BATCH)):
        restores.add_broken(tables, batch)
    parts = ((row["store"], row["key"], row["size"], row["node"]) for row in _read(of_nodes))
    restores.create_degraded(tables)
    while found := list(islice(parts, _BATCH)):
        restores.add_degraded(tables, found)
    plans = restores.plan_broken(tables, at=_LATEST), restores.plan_degraded(tables, at=_LATEST)
    if repository is not None:
        for table in ("restorable", "healable_known"):
            refuse_unreadable_objects(repository, tables, table)
    return plans


def _put_back(
    deployment: Deployment, repository: Repository | None, tables: Tables, options: RepairOptions, listener: Listener, stop: Stop
) -> Uploaded:
    """Upload what is broken as a whole and the repository has."""
    if repository is None:
        return Uploaded()
    listener(StageStarted(STAGE, total=restores.count_restorable(tables).objects, unit="objects"))
    uploader = Uploader(deployment.stores, repository, tables, options.limits, stop, listener, overwrite=True, ask_each=True)
    done = uploader.upload(restores.restorable(tables))
    step("repair.uploaded")
    listener(StageEnded(STAGE))
    return done


def _read(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def _keys(tables: Tables) -> tuple[str, ...]:
    return tuple(each.key for each in restores.unrestorable(tables, most=SHOWN))
