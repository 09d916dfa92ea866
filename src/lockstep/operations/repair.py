"""Heal the living bucket: put back what an audit finds missing or of the wrong size, from the repository, checked and proven."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from lockstep.deployment.deployment import Deployment
from lockstep.model.inventory import MissingObject
from lockstep.model.results import RepairPlan, RepairResult
from lockstep.objects.store import ObjectStore
from lockstep.objects.transfer import Stop, TransferLimits
from lockstep.operations.audit import AuditOptions, audit
from lockstep.operations.uploading import STAGE, Uploader
from lockstep.operations.work import work_directory
from lockstep.progress import SILENT, Listener, StageEnded, StageStarted
from lockstep.repository.history import readable_segments
from lockstep.repository.repository import open_repository
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
    deployment: Deployment, repository_store: ObjectStore, *, options: RepairOptions, listener: Listener = SILENT, stop: Stop | None = None
) -> RepairPlan:
    """Audit the deployment and say what the repository could put back. Nothing is changed."""
    with work_directory(options.temporary) as work:
        tables = Tables(work)
        try:
            broken = _prepare(deployment, repository_store, tables, options, listener, stop or threading.Event())
            found = restores.count_restorable(tables)
            return RepairPlan(broken, found.objects, found.size_bytes, broken - found.objects, _keys(tables))
        finally:
            tables.close()


def repair(
    deployment: Deployment,
    repository_store: ObjectStore,
    *,
    options: RepairOptions | None = None,
    listener: Listener = SILENT,
    stop: Stop | None = None,
) -> RepairResult:
    """Put back into the stores what they lack. An object that is right is never touched; one of the wrong size is replaced.

    Each object is checked against the inventory before it leaves and proven after it arrived. Raises LockstepError when the work could
    not be done; what was put back by then stays.
    """
    options, stop = options or RepairOptions(), stop or threading.Event()
    started = time.monotonic()
    with work_directory(options.temporary) as work:
        tables = Tables(work)
        try:
            broken = _prepare(deployment, repository_store, tables, options, listener, stop)
            found = restores.count_restorable(tables)
            listener(StageStarted(STAGE, total=found.objects, unit="objects"))
            uploader = Uploader(
                deployment.stores,
                open_repository(repository_store),
                tables,
                options.limits,
                stop,
                listener,
                overwrite=True,
                ask_each=True,
            )
            done = uploader.upload(restores.restorable(tables))
            listener(StageEnded(STAGE))
            if options.list_missing is not None:
                restores.write_lines(options.list_missing, restores.unrestorable(tables))
            return RepairResult(
                restored=done.uploaded,
                restored_bytes=done.uploaded_bytes,
                still_missing=broken - done.uploaded - done.already_there,  # somebody else may heal meanwhile
                still_missing_sample=_keys(tables),
                seconds=time.monotonic() - started,
            )
        finally:
            tables.close()


def _prepare(
    deployment: Deployment, repository_store: ObjectStore, tables: Tables, options: RepairOptions, listener: Listener, stop: Stop
) -> int:
    """Fill `restorable` and `unrestorable` with what is broken; returns how many objects that are."""
    repository = open_repository(repository_store)
    findings = tables.directory / "findings.jsonl"
    audit(deployment, options=AuditOptions(findings, None, options.limits, options.temporary), listener=listener, stop=stop)
    inventory.create(tables, readable_segments(repository, tables.directory))
    lines = _read(findings)
    restores.create_broken(tables)
    while batch := list(islice(lines, _BATCH)):
        restores.add_broken(tables, batch)
    return restores.plan_broken(tables, at=_LATEST)


def _read(path: Path) -> Iterator[MissingObject]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            yield MissingObject(row["store"], row["key"], row["size"], "lost")


def _keys(tables: Tables) -> tuple[str, ...]:
    return tuple(each.key for each in restores.unrestorable(tables, most=SHOWN))
